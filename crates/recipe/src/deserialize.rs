//! Values of a tree as serde wants them, so that every fault knows its key and its place.
//!
//! An enum is a word, or a table whose key `kind` is the word and whose other keys are the variant's fields.

use std::collections::btree_map::Iter;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::fault::{Fault, What};
use crate::tree::{Node, Tree};

/// The key that says which variant of an enum a table is.
const KIND: &str = "kind";

/// Makes a value of a tree.
pub(crate) fn from_node<T: DeserializeOwned>(root: &Node) -> Result<T, Fault> {
    T::deserialize(Reader(root))
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'a> Reader<'a> {
    fn choice(self) -> Result<Choice<'a>, Fault> {
        match &self.0.tree {
            Tree::Text(word) => Ok(Choice { word, word_node: self.0, body: None }),
            Tree::Table(table) => {
                let kind = table.get(KIND).ok_or_else(|| Fault::new(What::MissingKey { name: KIND }))?;
                match &kind.tree {
                    Tree::Text(word) => Ok(Choice { word, word_node: kind, body: Some(self.0) }),
                    other => Err(wrong_type("a word", other).with_origin(Some(kind.origin)).below(KIND)),
                }
            }
            other => Err(wrong_type("a word", other)),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match &self.0.tree {
            Tree::Text(text) => visitor.visit_borrowed_str(text),
            Tree::Whole(number) => visitor.visit_i64(*number),
            Tree::Number(number) => visitor.visit_f64(*number),
            Tree::Switch(switch) => visitor.visit_bool(*switch),
            Tree::List(items) => visitor.visit_seq(Items(items.iter())),
            Tree::Table(table) => {
                visitor.visit_map(Entries { entries: table.iter(), value: None, is_variant: false })
            }
        };
        value.map_err(|fault| fault.with_origin(Some(self.0.origin)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        if let Tree::List(items) = &self.0.tree
            && items.len() != length
        {
            let expected = format!("a list of {length}");
            let fault = Fault::new(What::WrongType { expected, found: format!("a list of {}", items.len()) });
            return Err(fault.with_origin(Some(self.0.origin)));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let value = self.choice().and_then(|choice| visitor.visit_enum(choice));
        value.map_err(|fault| fault.with_origin(Some(self.0.origin)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|node| seed.deserialize(Reader(node))).transpose()
    }
}

struct Entries<'a> {
    entries: Iter<'a, String, Node>,
    value: Option<(&'a String, &'a Node)>,
    /// Whether these are a variant's fields, whose kind is known already.
    is_variant: bool,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let is_variant = self.is_variant;
        self.value = self.entries.find(|(key, _)| !(is_variant && key.as_str() == KIND));
        let Some((key, node)) = self.value else {
            return Ok(None);
        };
        let deserializer: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(deserializer).map(Some).map_err(|fault| fault.with_origin(Some(node.origin)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, node) = self.value.take().expect("serde asks for a key before it asks for its value");
        seed.deserialize(Reader(node)).map_err(|fault| fault.below(key))
    }
}

/// A variant: its word, and the table of its fields if there is one.
struct Choice<'a> {
    word: &'a str,
    word_node: &'a Node,
    body: Option<&'a Node>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let deserializer: StrDeserializer<'_, Fault> = self.word.into_deserializer();
        match seed.deserialize(deserializer) {
            Ok(value) => Ok((value, self)),
            Err(fault) => {
                let fault = fault.with_origin(Some(self.word_node.origin));
                Err(if self.body.is_some() { fault.below(KIND) } else { fault })
            }
        }
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.body.map_or(Ok(()), |node| Err(wrong_type("a word", &node.tree)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(Reader(self.body.unwrap_or(self.word_node)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        Reader(self.body.unwrap_or(self.word_node)).deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.body.map(|node| &node.tree) {
            Some(Tree::Table(table)) => {
                visitor.visit_map(Entries { entries: table.iter(), value: None, is_variant: true })
            }
            _ => Err(wrong_type("a table with `kind`", &self.word_node.tree)),
        }
    }
}

fn wrong_type(expected: &str, found: &Tree) -> Fault {
    let found = match found {
        Tree::Text(text) => Unexpected::Str(text),
        Tree::Whole(number) => Unexpected::Signed(*number),
        Tree::Number(number) => Unexpected::Float(*number),
        Tree::Switch(switch) => Unexpected::Bool(*switch),
        Tree::List(_) => Unexpected::Seq,
        Tree::Table(_) => Unexpected::Map,
    };
    serde::de::Error::invalid_type(found, &expected)
}
