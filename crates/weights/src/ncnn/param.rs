//! The text of a `.param` file: one layer a line, parsed no further than its words.

use crate::WeightsError;
use crate::graph::{Site, foreign, limit, malformed};

/// The first line of every text `.param` file.
const MAGIC: &str = "7767517";
/// RRDBNet with 23 blocks has 999 layers; the largest public models about 3,000.
const MAX_LAYERS: usize = 100_000;
/// Parameter ids from here down mark arrays: -23300 - id.
const ARRAY_BASE: i64 = -23300;

/// One line: `type name input_count output_count inputs… outputs… id=value…`.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    pub kind: &'a str,
    name: &'a str,
    line: usize,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    params: Vec<(i64, &'a str)>,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(i64),
    Float(f32),
    Array(Vec<f32>),
}

/// Splits the text into layers.
///
/// # Errors
/// Where the magic, the counts or a line is not what the format says.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Layer<'_>>, WeightsError> {
    let text = std::str::from_utf8(text)
        .map_err(|e| malformed("the text", "UTF-8", format!("another byte at offset {}", e.valid_up_to())))?;
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty());
    let first = lines.next().map_or("an empty file", |(_, line)| line);
    if first != MAGIC {
        return Err(malformed("line 1", "the magic 7767517", format!("`{}`", shorten(first))));
    }
    let (layer_count, blob_count) = parse_counts(lines.next().map_or("", |(_, line)| line))?;
    let mut layers = Vec::new();
    for (line, content) in lines {
        if layers.len() == layer_count {
            let item = format!("line {line}");
            return Err(malformed(&item, "the end of the file", "one more layer".to_owned()));
        }
        layers.push(parse_layer(line, content)?);
    }
    let blobs = layers.iter().map(|layer| layer.outputs.len()).sum();
    for (item, declared, found) in [("layers", layer_count, layers.len()), ("blobs", blob_count, blobs)] {
        if declared != found {
            return Err(malformed(item, format!("{declared} as line 2 says"), found.to_string()));
        }
    }
    Ok(layers)
}

/// The numbers of layers and blobs.
fn parse_counts(line: &str) -> Result<(usize, usize), WeightsError> {
    let counts = line.split_once(char::is_whitespace).and_then(|(layers, blobs)| {
        Some((layers.parse::<usize>().ok()?, blobs.trim().parse::<usize>().ok()?))
    });
    match counts {
        Some((layers, _)) if layers > MAX_LAYERS => {
            Err(limit("layers of the .param file", MAX_LAYERS as u64, layers as u64))
        }
        Some(counts) => Ok(counts),
        None => Err(malformed("line 2", "the numbers of layers and blobs", format!("`{}`", shorten(line)))),
    }
}

fn parse_layer(line: usize, content: &str) -> Result<Layer<'_>, WeightsError> {
    let wrong = |expected: &str, found: &str| {
        malformed(&format!("line {line}"), expected, format!("`{}`", shorten(found)))
    };
    let mut words = content.split_ascii_whitespace();
    let mut next = |expected: &str| words.next().ok_or_else(|| wrong(expected, "the end of the line"));
    let kind = next("a layer type")?;
    let name = next("a layer name")?;
    let mut count = |what: &str| {
        let word = next(what)?;
        word.parse::<usize>().map_err(|_| wrong(what, word))
    };
    let input_count = count("a number of inputs")?;
    let output_count = count("a number of outputs")?;
    let inputs: Vec<&str> = words.by_ref().take(input_count).collect();
    let outputs: Vec<&str> = words.by_ref().take(output_count).collect();
    if inputs.len() != input_count || outputs.len() != output_count {
        return Err(wrong("as many blob names as the line says", content));
    }
    let params = words
        .map(|word| {
            let (id, value) = word.split_once('=')?;
            Some((id.parse().ok()?, value))
        })
        .collect::<Option<Vec<_>>>();
    // A parameter that is no `id=value` can only be another layer's: the type decides whether that matters.
    Ok(Layer { kind, name, line, inputs, outputs, params: params.unwrap_or_else(|| vec![(i64::MAX, "")]) })
}

/// As much of a hostile text as fits an error message.
fn shorten(text: &str) -> String {
    text.chars().take(60).filter(|c| !c.is_control()).collect()
}

impl Layer<'_> {
    /// Where the layer stands, for messages.
    pub fn site(&self) -> Site {
        Site { kind: shorten(self.kind), name: shorten(self.name), place: format!("line {}", self.line) }
    }

    /// Refuses the layer unless all its parameters are among `known`.
    pub fn allow_params(&self, known: &[i64]) -> Result<(), WeightsError> {
        // 30 and 31 hold hints of shape and of features, which change no result.
        match self.params.iter().find(|(id, _)| {
            let id = if *id <= ARRAY_BASE { ARRAY_BASE - *id } else { *id };
            !known.contains(&id) && id != 30 && id != 31
        }) {
            Some((id, value)) => {
                Err(foreign(&self.site(), &format!("no parameter {id} (here `{}`)", shorten(value))))
            }
            None => Ok(()),
        }
    }

    /// Parameter `id`, if the line has it.
    pub fn value(&self, id: i64) -> Result<Option<Value>, WeightsError> {
        let array_id = ARRAY_BASE - id;
        let Some((found_id, text)) = self.params.iter().find(|(found, _)| *found == id || *found == array_id)
        else {
            return Ok(None);
        };
        let parsed = if *found_id == array_id {
            parse_array(text)
        } else if text.contains(['.', 'e', 'E']) {
            parse_float(text).map(Value::Float)
        } else {
            text.parse().ok().map(Value::Int)
        };
        let item = || format!("parameter {id} of {}", self.site());
        parsed.map(Some).ok_or_else(|| malformed(&item(), "a number", format!("`{}`", shorten(text))))
    }

    /// Integer parameter `id`, or `default`.
    pub fn int(&self, id: i64, default: i64) -> Result<i64, WeightsError> {
        match self.value(id)? {
            None => Ok(default),
            Some(Value::Int(value)) => Ok(value),
            Some(other) => Err(self.wrong_type(id, "an integer", &other)),
        }
    }

    /// Number parameter `id`, or `default`.
    pub fn float(&self, id: i64, default: f32) -> Result<f32, WeightsError> {
        match self.value(id)? {
            None => Ok(default),
            Some(Value::Float(value)) => Ok(value),
            Some(Value::Int(value)) => Ok(value as f32),
            Some(other) => Err(self.wrong_type(id, "a number", &other)),
        }
    }

    /// Array parameter `id`, or an empty one.
    pub fn array(&self, id: i64) -> Result<Vec<f32>, WeightsError> {
        match self.value(id)? {
            None => Ok(vec![]),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(self.wrong_type(id, "an array", &other)),
        }
    }

    fn wrong_type(&self, id: i64, expected: &str, found: &Value) -> WeightsError {
        malformed(&format!("parameter {id} of {}", self.site()), expected, format!("{found:?}"))
    }
}

fn parse_float(text: &str) -> Option<f32> {
    text.parse().ok().filter(|value: &f32| value.is_finite())
}

fn parse_array(text: &str) -> Option<Value> {
    let mut parts = text.split(',');
    let count: usize = parts.next()?.parse().ok()?;
    let values = parts.map(parse_float).collect::<Option<Vec<f32>>>()?;
    (values.len() == count).then_some(Value::Array(values))
}
