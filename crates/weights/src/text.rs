//! Text from files, made fit for messages.

/// Characters of a name that a message shows at most.
const SHOWN_CHARACTERS: usize = 120;

/// A name from a file without control characters and of bounded length, for messages.
pub(crate) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// The same for bytes that may be no text.
pub(crate) fn shown_bytes(name: &[u8]) -> String {
    shown(&String::from_utf8_lossy(&name[..name.len().min(4 * SHOWN_CHARACTERS)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_control_characters_and_end() {
        assert_eq!(shown("conv_first.weight"), "conv_first.weight");
        assert_eq!(shown("\x1b[2J\n"), "\\u{1b}[2J\\n");
        assert_eq!(shown(&"a".repeat(500)).chars().count(), SHOWN_CHARACTERS + 1);
        assert_eq!(shown_bytes(b"os\xff"), "os\u{fffd}");
    }
}
