//! Lines of `log.jsonl` and `timing.jsonl`: JSON objects of one level.
//!
//! `{"step":10,"kind":"train","loss_l1":0.0123}`: the step, the kind (not in `timing.jsonl`), then scalars in their order.
//! Finite values have as few digits as give the same f64 again; the others are the strings `NaN`, `inf` and `-inf`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::record::{Record, RecordKind};

pub(crate) const STEP: &str = "step";
pub(crate) const KIND: &str = "kind";

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line<'a> {
    pub(crate) step: u64,
    pub(crate) kind: Option<RecordKind>,
    pub(crate) scalars: Cow<'a, [(String, f64)]>,
}

impl<'a> Line<'a> {
    pub(crate) fn of_record(record: &'a Record) -> Self {
        Self { step: record.step, kind: Some(record.kind), scalars: Cow::Borrowed(&record.scalars) }
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Line<'static>, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The line with its end.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec(self).expect("names are strings and values are finite numbers or strings");
        bytes.push(b'\n');
        bytes
    }

    /// The first scalar whose name is taken or no name at all.
    pub(crate) fn bad_name(&self) -> Option<&str> {
        let names: Vec<&str> = self.scalars.iter().map(|(name, _)| name.as_str()).collect();
        let is_bad = |(index, name): (usize, &str)| {
            name.is_empty() || [STEP, KIND].contains(&name) || names[..index].contains(&name)
        };
        names.iter().enumerate().find(|(index, name)| is_bad((*index, name))).map(|(_, name)| *name)
    }
}

impl Line<'static> {
    /// The record, where the line has a kind.
    pub(crate) fn into_record(self) -> Result<Record, serde_json::Error> {
        let kind = self.kind.ok_or_else(|| de::Error::missing_field(KIND))?;
        Ok(Record { step: self.step, kind, scalars: self.scalars.into_owned() })
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(STEP, &self.step)?;
        if let Some(kind) = self.kind {
            map.serialize_entry(KIND, kind.name())?;
        }
        for (name, value) in self.scalars.iter() {
            if value.is_finite() {
                map.serialize_entry(name, value)?;
            } else {
                map.serialize_entry(name, &value.to_string())?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Line<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'static>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `step` and scalars")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut step, mut kind, mut scalars) = (None, None, Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                STEP => step = Some(map.next_value()?),
                KIND => kind = Some(map.next_value::<KindName>()?.0),
                _ => scalars.push((name, map.next_value::<Scalar>()?.0)),
            }
        }
        let step = step.ok_or_else(|| de::Error::missing_field(STEP))?;
        Ok(Line { step, kind, scalars: Cow::Owned(scalars) })
    }
}

struct KindName(RecordKind);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = RecordKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(Self).ok_or_else(|| de::Error::unknown_variant(&name, &["train", "validation"]))
    }
}

struct Scalar(f64);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(Self)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = f64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, `NaN`, `inf` or `-inf`")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(record: &Record) -> String {
        String::from_utf8(Line::of_record(record).to_bytes()).expect("JSON is UTF-8")
    }

    #[test]
    fn lines_are_as_documented() {
        let record = Record::new(10, RecordKind::Train)
            .with("loss_l1", 0.0123)
            .with("a \"name\"\n", 1.0)
            .with("nan", f64::NAN)
            .with("up", f64::INFINITY)
            .with("down", f64::NEG_INFINITY);
        let expected = concat!(
            r#"{"step":10,"kind":"train","loss_l1":0.0123,"a \"name\"\n":1.0,"nan":"NaN","up":"inf","down":"-inf"}"#,
            "\n"
        );
        assert_eq!(line_of(&record), expected);
    }

    #[test]
    fn every_bit_comes_back() {
        // The bits of a multiplicative walk cover all exponents; those that are not finite are strings.
        let mut bits = 1_u64;
        let mut record = Record::new(u64::MAX, RecordKind::Validation).with("zero", -0.0);
        for index in 0..5000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            record = record.with(format!("s{index}"), f64::from_bits(bits));
        }
        let back = Line::parse(line_of(&record).as_bytes()).unwrap().into_record().unwrap();
        assert_eq!((back.step, back.kind), (record.step, record.kind));
        for ((name, value), (name_back, value_back)) in record.scalars.iter().zip(&back.scalars) {
            let is_same = value.to_bits() == value_back.to_bits() || (value.is_nan() && value_back.is_nan());
            assert!(name == name_back && is_same, "{name}: {value:e}, {value_back:e}");
        }
        assert_eq!(back.scalars.len(), record.scalars.len());
        assert_eq!(line_of(&back), line_of(&record));
    }

    #[test]
    fn other_lines_are_refused() {
        let cases = [
            r#"{"kind":"train","a":1}"#,
            r#"{"step":-1,"kind":"train"}"#,
            r#"{"step":1,"kind":"test"}"#,
            r#"{"step":1,"kind":"train","a":null}"#,
            r#"{"step":1,"kind":"train","a":"nan"}"#,
            r#"{"step":1,"kind":"train","a":[1]}"#,
            r#"{"step":1,"kind":"train","a":1"#,
            r#"{"step":1,"kind":"train"} x"#,
            "[]",
            "",
        ];
        let accepted: Vec<_> = cases.iter().filter(|case| Line::parse(case.as_bytes()).is_ok()).collect();
        assert!(accepted.is_empty(), "{accepted:?}");
        assert!(Line::parse(br#"{"step":1}"#).unwrap().into_record().is_err());
    }

    #[test]
    fn names_that_a_line_cannot_hold() {
        let bad = |names: &[&str]| {
            let scalars: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 0.0)).collect();
            Line { step: 1, kind: None, scalars: scalars.into() }.bad_name().map(str::to_owned)
        };
        assert_eq!(bad(&["a", "b"]), None);
        assert_eq!(bad(&["a", "b", "a"]).as_deref(), Some("a"));
        assert_eq!(bad(&["a", ""]).as_deref(), Some(""));
        assert_eq!(bad(&["step"]).as_deref(), Some("step"));
        assert_eq!(bad(&["kind"]).as_deref(), Some("kind"));
    }
}
