use super::*;

/// A block with a main directory, an EXIF directory and a thumbnail, in either byte order.
fn block(order: Order, orientation: u16, thumbnail: &[u8]) -> Vec<u8> {
    let short = |value: u16| match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    };
    let long = |value: u32| match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    };
    let mut bytes = Vec::new();
    let entry = |bytes: &mut Vec<u8>, tag: u16, kind: u16, value: u32| {
        bytes.extend(short(tag));
        bytes.extend(short(kind));
        bytes.extend(long(1));
        if kind == SHORT {
            bytes.extend(short(value as u16));
            bytes.extend([0, 0]);
        } else {
            bytes.extend(long(value));
        }
    };
    bytes.extend(if order == Order::Little { b"II" } else { b"MM" });
    bytes.extend(short(42));
    bytes.extend(long(8));
    // Main directory at 8: three entries, 42 bytes, up to 50.
    bytes.extend(short(3));
    entry(&mut bytes, IMAGE_WIDTH, SHORT, 24);
    entry(&mut bytes, ORIENTATION, SHORT, u32::from(orientation));
    entry(&mut bytes, EXIF_DIRECTORY, LONG, 50);
    bytes.extend(long(80));
    // EXIF directory at 50: two entries, 30 bytes, up to 80.
    bytes.extend(short(2));
    entry(&mut bytes, PIXEL_X_DIMENSION, SHORT, 24);
    entry(&mut bytes, PIXEL_Y_DIMENSION, LONG, 16);
    bytes.extend(long(0));
    // Thumbnail directory at 80: two entries, 30 bytes, up to 110.
    bytes.extend(short(2));
    entry(&mut bytes, THUMBNAIL_OFFSET, LONG, 110);
    entry(&mut bytes, THUMBNAIL_LENGTH, LONG, thumbnail.len() as u32);
    bytes.extend(long(0));
    bytes.extend(thumbnail);
    bytes
}

#[test]
fn orientation_and_size_are_mended_in_both_byte_orders() {
    for order in [Order::Little, Order::Big] {
        let original = block(order, 6, b"\xff\xd8thumb");
        assert_eq!(orientation(&original), Some(6));
        let mended = mend(&original, 70_000, 480).expect("a sound block");
        assert_eq!(orientation(&mended), Some(1));
        let (found, main) = open(&mended).expect("still sound");
        assert_eq!(found, order);
        assert_eq!(main.number(&mended, order, IMAGE_WIDTH), Some(70_000));
        let exif =
            sub_directory(&mended, order, &main, EXIF_DIRECTORY).expect("still sound").expect("still there");
        assert_eq!(exif.number(&mended, order, PIXEL_X_DIMENSION), Some(70_000));
        assert_eq!(exif.number(&mended, order, PIXEL_Y_DIMENSION), Some(480));
    }
}

#[test]
fn the_thumbnail_is_unlinked_and_cut_off() {
    let original = block(Order::Big, 1, b"\xff\xd8thumb");
    let mended = mend(&original, 24, 16).expect("a sound block");
    let (order, main) = open(&mended).expect("still sound");
    let field = main.next_field(&mended).expect("still there");
    assert_eq!(order.u32(&mended, field), Some(0));
    assert_eq!(mended.len(), original.len() - b"\xff\xd8thumb".len());
}

#[test]
fn a_tail_that_is_no_thumbnail_stays() {
    let original = block(Order::Little, 1, b"maker's own");
    let mended = mend(&original, 24, 16).expect("a sound block");
    assert_eq!(mended.len(), original.len());
}

#[test]
fn mending_twice_changes_nothing_more() {
    let once = mend(&block(Order::Little, 8, b"\xff\xd8x"), 640, 480).expect("a sound block");
    assert_eq!(mend(&once, 640, 480).as_ref(), Ok(&once));
}

#[test]
fn the_marker_of_jpeg_is_taken_off() {
    let original = block(Order::Little, 3, b"\xff\xd8x");
    let marked = [b"Exif\0\0", original.as_slice()].concat();
    assert_eq!(orientation(&marked), Some(3));
    assert_eq!(mend(&marked, 5, 5), mend(&original, 5, 5));
}

#[test]
fn damage_is_named_and_never_a_panic() {
    for (bytes, damage) in [
        (&b""[..], "no byte order mark"),
        (b"XX\x2a\0\x08\0\0\0", "no byte order mark"),
        (b"II\x2b\0\x08\0\0\0", "no TIFF header"),
        (b"II\x2a\0\x08\0", "the header is cut short"),
        (b"II\x2a\0\xff\xff\xff\xff\0\0\0\0", "a directory lies outside the block"),
        (b"II\x2a\0\x08\0\0\0\xff\xff\0\0", "a directory lies outside the block"),
    ] {
        assert_eq!(mend(bytes, 1, 1), Err(Damage(damage)), "{bytes:?}");
        assert_eq!(orientation(bytes), None);
    }
    let sound = block(Order::Little, 6, b"\xff\xd8x");
    for length in 0..sound.len() {
        let _ = mend(&sound[..length], 3, 3);
    }
    for at in 0..sound.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut changed = sound.clone();
            changed[at] = value;
            if let Ok(mended) = mend(&changed, 3, 3) {
                assert!(mended.len() <= changed.len());
            }
        }
    }
}
