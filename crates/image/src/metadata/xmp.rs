//! XMP: orientation and size made true, in the text as it stands.
//!
//! The properties are simple values, written as an attribute or as an element, nearly always under the prefixes of the
//! specification. They are replaced without parsing XML, so that everything else stays byte for byte.

/// A copy of the packet that says orientation 1 and this size where it says anything; packets in UTF-16 stay as they are.
pub(crate) fn mend(packet: Vec<u8>, width: usize, height: usize) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&packet) else {
        return packet;
    };
    let (width, height) = (width.to_string(), height.to_string());
    let properties = [
        ("tiff:Orientation", "1"),
        ("tiff:ImageWidth", &width),
        ("tiff:ImageLength", &height),
        ("exif:PixelXDimension", &width),
        ("exif:PixelYDimension", &height),
    ];
    let mut mended = text.to_owned();
    for (name, value) in properties {
        mended = replaced(&mended, name, value);
    }
    mended.into_bytes()
}

/// Whether the packet refers to a second one (JPEG's extended XMP), which is not carried.
pub(crate) fn is_extended(packet: &[u8]) -> bool {
    const NAME: &[u8] = b"HasExtendedXMP";
    packet.windows(NAME.len()).any(|window| window == NAME)
}

/// Replaces the value wherever `name="…"`, `name='…'` or `<name>…<` stands.
fn replaced(text: &str, name: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = rest.split_at(at + name.len());
        out.push_str(before);
        rest = after;
        if let Some((start, end)) = value_span(after) {
            out.push_str(&after[..start]);
            out.push_str(value);
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Where the digits lie in what follows a property's name; `None` where no simple number follows.
fn value_span(after: &str) -> Option<(usize, usize)> {
    let trimmed = after.trim_start();
    let (start, closing) = if let Some(content) = trimmed.strip_prefix('>') {
        (after.len() - content.len(), '<')
    } else {
        let quoted = trimmed.strip_prefix('=')?.trim_start();
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        (after.len() - quoted.len() + 1, quote)
    };
    let length = after[start..].find(closing)?;
    let value = after[start..start + length].trim();
    let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some((start, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(text: &str) -> String {
        String::from_utf8(mend(text.as_bytes().to_vec(), 640, 480)).expect("text stays text")
    }

    #[test]
    fn attributes_and_elements_are_replaced() {
        for (before, after) in [
            (r#"<x tiff:Orientation="6" a="6"/>"#, r#"<x tiff:Orientation="1" a="6"/>"#),
            ("<x tiff:Orientation = '8'/>", "<x tiff:Orientation = '1'/>"),
            ("<tiff:Orientation>3</tiff:Orientation>", "<tiff:Orientation>1</tiff:Orientation>"),
            (
                "<exif:PixelXDimension> 12 </exif:PixelXDimension>",
                "<exif:PixelXDimension>640</exif:PixelXDimension>",
            ),
            (
                r#"exif:PixelYDimension="9" tiff:ImageWidth="1" tiff:ImageLength="2""#,
                r#"exif:PixelYDimension="480" tiff:ImageWidth="640" tiff:ImageLength="480""#,
            ),
        ] {
            assert_eq!(mended(before), after);
        }
    }

    #[test]
    fn what_is_no_simple_number_stays() {
        for text in [
            "",
            "tiff:Orientation",
            "tiff:Orientation=",
            r#"tiff:Orientation="left""#,
            "<tiff:Orientation><a>6</a></tiff:Orientation>",
            "日本語 <dc:title>tiff</dc:title>",
        ] {
            assert_eq!(mended(text), text);
        }
        let utf16 = [0xff, 0xfe, b'<', 0];
        assert_eq!(mend(utf16.to_vec(), 1, 1), utf16);
    }
}
