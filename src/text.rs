//! Texts of the service, kept as both sides read them.

#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::ffi::CStr;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A text of the service: a `str` here, a text with a NUL behind it for C. One
/// allocation holds both, as replies have many.
///
/// C would take a NUL inside for the end, so it is shown `\0` in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// The text; if it holds a NUL, the form for C behind it; a NUL.
    buffer: Box<str>,
    length: usize,
}

impl Text {
    /// The form for C.
    pub fn as_c_str(&self) -> &CStr {
        let form = match self.buffer.len() > self.length + 1 {
            true => &self.buffer[self.length..],
            false => &self.buffer,
        };
        CStr::from_bytes_until_nul(form.as_bytes()).unwrap_or_default()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        let form = if text.contains('\0') { text.replace('\0', "\\0") } else { String::new() };
        let mut buffer = String::with_capacity(text.len() + form.len() + 1);
        buffer.push_str(text);
        buffer.push_str(&form);
        buffer.push('\0');
        Text { buffer: buffer.into_boxed_str(), length: text.len() }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.buffer[..self.length]
    }
}

// So that texts can be joined.
impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Copy;
        impl Visitor<'_> for Copy {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_str(Copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_the_same() {
        let rows =
            [("", c""), ("F", c"F"), ("名单", c"名单"), ("a\0b", c"a\\0b"), ("\0", c"\\0"), ("\\0", c"\\0")];
        for (text, form) in rows {
            let kept = Text::from(text);
            assert_eq!((&*kept, kept.as_c_str()), (text, form));
            assert_eq!(serde_json::from_str::<Text>(&serde_json::to_string(&kept).unwrap()).unwrap(), kept);
        }
    }
}
