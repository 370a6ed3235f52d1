//! What each tensor is called in the layouts in use.

use crate::model::KeyLayout;
use crate::spec::ModelSpec;

/// The key of a tensor in a layout; `name` is its canonical name, one of [`ModelSpec::tensors`].
pub(crate) fn file_key(layout: KeyLayout, spec: &ModelSpec, name: &str) -> String {
    match layout {
        KeyLayout::RrdbTrunk => trunk_key(name),
        KeyLayout::Old => old_key(spec, name),
        // Canonical names are BasicSR's; graphs keep them too.
        _ => name.to_owned(),
    }
}

fn trunk_key(name: &str) -> String {
    let (head, rest) = name.split_once('.').unwrap_or((name, ""));
    let head = match head {
        "body" => return format!("RRDB_trunk.{}", rest.replace("rdb", "RDB")),
        "conv_body" => "trunk_conv".to_owned(),
        "conv_hr" => "HRconv".to_owned(),
        head => head.replace("conv_up", "upconv"),
    };
    format!("{head}.{rest}")
}

/// In this layout the network is one sequence: 0 the first convolution, 1 the trunk with its shortcut (its last part the
/// trunk's convolution), then for each enlargement repetition, convolution and activation, then the last two convolutions.
fn old_key(spec: &ModelSpec, name: &str) -> String {
    let (head, leaf) = name.rsplit_once('.').unwrap_or((name, ""));
    let after_upsampling = 2 + 3 * spec.upsampling().len();
    let place = match head {
        "conv_first" => "0".to_owned(),
        "conv_body" => format!("1.sub.{}", spec.num_blocks()),
        "conv_hr" => after_upsampling.to_string(),
        "conv_last" => (after_upsampling + 2).to_string(),
        _ => match head.strip_prefix("conv_up").and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => (3 * number).to_string(),
            None => {
                let block = head.strip_prefix("body.").unwrap_or(head).replace("rdb", "RDB");
                let sequence = if block.ends_with("conv1x1") { "" } else { ".0" };
                format!("1.sub.{block}{sequence}")
            }
        },
    };
    format!("model.{place}.{leaf}")
}

/// Whether a key looks like one of a layout.
pub(super) fn is_of(layout: KeyLayout, key: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    let numbered = |prefix: &str| number_after(key, prefix);
    match layout {
        KeyLayout::RrdbTrunk => {
            starts(&["conv_first.", "RRDB_trunk.", "trunk_conv.", "upconv", "HRconv.", "conv_last."])
        }
        KeyLayout::Old => numbered("model.").is_some(),
        KeyLayout::Compact => numbered("body.").is_some_and(|(_, rest)| rest == ".weight" || rest == ".bias"),
        _ => {
            starts(&["conv_first.", "conv_body.", "conv_up", "conv_hr.", "conv_last."])
                || numbered("body.").is_some_and(|(_, rest)| rest.starts_with(".rdb"))
        }
    }
}

/// The number behind a prefix, and what follows it.
pub(super) fn number_after<'k>(key: &'k str, prefix: &str) -> Option<(usize, &'k str)> {
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((rest[..end].parse().ok()?, &rest[end..]))
}
