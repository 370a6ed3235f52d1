//! Which device a wish gets.

use esrgan_core::Notice;

use super::{DeviceChoice, DeviceFacts};
use crate::error::UpscaleError;

/// What a wish gets: the number of a device, or none for the processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) number: Option<usize>,
    /// Why it is not what was wished for.
    pub(crate) notice: Option<Notice>,
}

/// Chooses a device; `found` asks for those that there are, and is `None` where the build knows none.
///
/// A device that is named by its number is not looked for here: opening it tells whether it is there, and why not.
///
/// # Errors
/// [`UpscaleError::NoGpuSupport`].
pub(crate) fn choose(
    wish: DeviceChoice,
    found: Option<impl FnOnce() -> Vec<DeviceFacts>>,
) -> Result<Chosen, UpscaleError> {
    let found = match (wish, found) {
        (DeviceChoice::Cpu, _) | (DeviceChoice::Auto, None) => {
            return Ok(Chosen { number: None, notice: None });
        }
        (DeviceChoice::Vulkan(_), None) => return Err(UpscaleError::NoGpuSupport),
        (DeviceChoice::Vulkan(Some(number)), Some(_)) => {
            return Ok(Chosen { number: Some(number), notice: None });
        }
        (DeviceChoice::Auto | DeviceChoice::Vulkan(None), Some(found)) => found(),
    };
    let number = found.iter().find(|device| device.is_gpu()).map(|device| device.number);
    let notice = number.is_none().then(|| no_gpu(&found));
    Ok(Chosen { number, notice })
}

/// What there is instead of a GPU.
fn no_gpu(found: &[DeviceFacts]) -> Notice {
    let titles: Vec<String> = found.iter().map(DeviceFacts::title).collect();
    Notice::new(match found.first() {
        None => "no GPU was found that can be used: computed on the processor".to_owned(),
        Some(first) => format!(
            "no GPU was found but only the processor as a device ({}): computed on the processor without it; \
             `vulkan:{}` forces it",
            titles.join(", "),
            first.number
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::DeviceKind;
    use super::*;

    fn device(number: usize, kind: DeviceKind) -> DeviceFacts {
        DeviceFacts {
            number,
            name: format!("device {number}"),
            kind,
            memory_bytes: None,
            largest_buffer_bytes: 1 << 30,
            has_f16: true,
            has_bf16: false,
            has_matrix_units: false,
        }
    }

    #[test]
    fn every_wish_meets_every_machine() {
        let rasteriser = [device(0, DeviceKind::Cpu)];
        let cards =
            [device(0, DeviceKind::Integrated), device(1, DeviceKind::Discrete), device(2, DeviceKind::Cpu)];
        let late = [device(0, DeviceKind::Cpu), device(1, DeviceKind::Virtual)];
        let (auto, any) = (DeviceChoice::Auto, DeviceChoice::Vulkan(None));
        let numbered = |number| DeviceChoice::Vulkan(Some(number));
        for (wish, found, number, is_said) in [
            (DeviceChoice::Cpu, Some(&cards[..]), None, false),
            (DeviceChoice::Cpu, None, None, false),
            (auto, None, None, false),
            (auto, Some(&cards), Some(0), false),
            (auto, Some(&late), Some(1), false),
            (auto, Some(&rasteriser), None, true),
            (auto, Some(&[]), None, true),
            (any, Some(&cards), Some(0), false),
            (any, Some(&late), Some(1), false),
            (any, Some(&rasteriser), None, true),
            (any, Some(&[]), None, true),
            (numbered(0), Some(&rasteriser), Some(0), false),
            (numbered(2), Some(&cards), Some(2), false),
            // Opening it tells that it is not there.
            (numbered(7), Some(&[]), Some(7), false),
        ] {
            let chosen = choose(wish, found.map(|found| || found.to_vec())).unwrap();
            assert_eq!((chosen.number, chosen.notice.is_some()), (number, is_said), "{wish:?} of {found:?}");
        }
    }

    #[test]
    fn a_notice_says_what_was_found() {
        let found = [device(0, DeviceKind::Cpu)];
        let notice = choose(DeviceChoice::Vulkan(None), Some(|| found.to_vec())).unwrap().notice.unwrap();
        assert!(notice.as_str().contains("vulkan:0 device 0"), "{notice}");
    }

    #[test]
    fn a_build_without_devices_says_how_to_make_one_with_them() {
        for wish in [DeviceChoice::Vulkan(None), DeviceChoice::Vulkan(Some(0))] {
            let error = choose(wish, None::<fn() -> Vec<DeviceFacts>>).unwrap_err();
            assert!(error.to_string().contains("--features vulkan"), "{error}");
        }
    }

    #[test]
    fn no_driver_is_asked_where_nobody_wants_to_know() {
        let asked = || unreachable!("a driver was asked");
        for wish in [DeviceChoice::Cpu, DeviceChoice::Vulkan(Some(0))] {
            choose(wish, Some(asked)).unwrap();
        }
    }
}
