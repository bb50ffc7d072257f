use image::codecs::gif::GifEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, Frame, GrayAlphaImage, GrayImage, Luma, LumaA, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

/// Encodes samples as a file of a format.
fn file(format: ImageFormat, image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A picture of 3 x 2 pixels, no two of a colour.
fn sample() -> image::RgbImage {
    let color =
        |x: u32, y: u32| image::Rgb([(90 * x) as u8, (200 * y) as u8, (40 * (x + y)) as u8]);
    image::RgbImage::from_fn(3, 2, color)
}

fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    decode_image(bytes, &DecodeOptions::default()).map_err(|error| error.to_string())
}

fn pixel(image: &RgbImage, x: usize, y: usize) -> [u8; 3] {
    image.data().as_chunks::<3>().0[y * image.width() + x]
}

#[test]
fn every_format_is_told_by_its_content() {
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Gif] {
        // GIF knows palettes only, which its encoder makes with alpha.
        let image: DynamicImage = if format == ImageFormat::Gif {
            DynamicImage::from(sample()).to_rgba8().into()
        } else {
            sample().into()
        };
        let decoded = decode(&file(format, image)).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (3, 2));
        assert_eq!(decoded.data(), sample().as_raw(), "{format:?}");
    }
    let flat = image::RgbImage::from_pixel(9, 5, image::Rgb([200, 30, 90]));
    let decoded = decode(&file(ImageFormat::Jpeg, flat)).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (9, 5));
    assert!(pixel(&decoded, 4, 2).iter().zip([200, 30, 90]).all(|(a, b)| a.abs_diff(b) < 4));
}

#[test]
fn a_name_that_says_another_format_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, file(ImageFormat::Png, sample())).unwrap();
    let decoded = decode_image_file(&path, &DecodeOptions::default()).unwrap();
    assert_eq!(decoded.data(), sample().as_raw());
}

#[test]
fn channels_become_red_green_and_blue() {
    let grey = decode(&file(ImageFormat::Png, GrayImage::from_pixel(1, 1, Luma([77]))));
    assert_eq!(grey.unwrap().data(), [77, 77, 77]);
    let grey = GrayAlphaImage::from_pixel(1, 1, LumaA([200, 0]));
    assert_eq!(decode(&file(ImageFormat::Png, grey)).unwrap().data(), [200, 200, 200]);
    let wide = image::ImageBuffer::from_pixel(1, 1, image::Rgb([0x12ffu16, 0xff00, 0x00ff]));
    assert_eq!(decode(&file(ImageFormat::Png, wide)).unwrap().data(), [0x12, 0xff, 0]);
    let wide = image::ImageBuffer::from_pixel(1, 1, Luma([0x80ffu16]));
    assert_eq!(decode(&file(ImageFormat::Png, wide)).unwrap().data(), [0x80, 0x80, 0x80]);
    // Pillow makes (235, 51, 0) of it.
    let cmyk = decode_image_file("tests/data/cmyk.jpg".as_ref(), &DecodeOptions::default());
    let cmyk = pixel(&cmyk.unwrap(), 3, 3);
    assert!(cmyk.iter().zip([235, 51, 0]).all(|(a, b)| a.abs_diff(b) <= 4), "{cmyk:?}");
}

#[test]
fn alpha_is_dropped_or_seen_through() {
    let image = RgbaImage::from_fn(2, 1, |x, _| Rgba([100, 0, 255, if x == 0 { 0 } else { 128 }]));
    let bytes = file(ImageFormat::Png, image);
    assert_eq!(decode(&bytes).unwrap().data(), [100, 0, 255, 100, 0, 255]);
    let transparency = Transparency::Over([255, 255, 0]);
    let options = DecodeOptions { transparency, ..DecodeOptions::default() };
    let over = decode_image(&bytes, &options).unwrap();
    assert_eq!(over.data(), [255, 255, 0, 177, 127, 128]);
}

#[test]
fn the_first_picture_of_an_animation_is_taken() {
    let frame = |level| Frame::new(RgbaImage::from_pixel(2, 2, Rgba([level, level, level, 255])));
    let mut bytes = Vec::new();
    GifEncoder::new(&mut bytes).encode_frames([frame(10), frame(200)]).unwrap();
    assert_eq!(pixel(&decode(&bytes).unwrap(), 1, 1), [10, 10, 10]);
}

/// A JPEG whose metadata say how the camera was held.
fn turned(orientation: u8) -> Vec<u8> {
    let mut pixels = image::RgbImage::from_pixel(32, 16, image::Rgb([0, 0, 0]));
    for (x, _, pixel) in pixels.enumerate_pixels_mut() {
        if x < 16 {
            *pixel = image::Rgb([255, 255, 255]);
        }
    }
    let plain = file(ImageFormat::Jpeg, pixels);
    let tiff = [
        &b"II*\0\x08\0\0\0"[..],
        &[1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = (2 + 6 + tiff.len()) as u16;
    [&plain[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", &tiff[..], &plain[2..]]
        .concat()
}

#[test]
fn photos_are_turned_as_the_camera_was() {
    let upright = decode(&turned(1)).unwrap();
    assert_eq!((upright.width(), upright.height()), (32, 16));
    assert!(pixel(&upright, 2, 8)[0] > 200 && pixel(&upright, 29, 8)[0] < 50);
    // Held upside down; turned clockwise.
    let upside_down = decode(&turned(3)).unwrap();
    assert!(pixel(&upside_down, 2, 8)[0] < 50 && pixel(&upside_down, 29, 8)[0] > 200);
    let clockwise = decode(&turned(6)).unwrap();
    assert_eq!((clockwise.width(), clockwise.height()), (16, 32));
    assert!(pixel(&clockwise, 8, 2)[0] > 200 && pixel(&clockwise, 8, 29)[0] < 50);
}

#[test]
fn what_a_header_claims_is_held_against_the_limits() {
    // 60,000 x 60,000 pixels in a file of a few bytes.
    let mut bmp = file(ImageFormat::Bmp, sample());
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    let mut gif = file(ImageFormat::Gif, DynamicImage::from(sample()).to_rgba8());
    gif[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
    for bytes in [bmp, gif] {
        assert_eq!(
            decode(&bytes).unwrap_err(),
            "60000 x 60000 pixels: the limits are 32768 pixels a side and 67108864 in all"
        );
    }
    let limits = ImageLimits { max_pixels: 5, ..ImageLimits::default() };
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let error = decode_image(&file(format, sample()), &options).unwrap_err().to_string();
        assert!(error.starts_with("3 x 2 pixels: the limits are"), "{error}");
    }
    let limits = ImageLimits { max_bytes: 10, ..ImageLimits::default() };
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    let bytes = file(ImageFormat::Bmp, sample());
    let error = decode_image(&bytes, &options).unwrap_err().to_string();
    assert_eq!(error, format!("the file has {} bytes, the limit is 10", bytes.len()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bmp");
    std::fs::write(&path, bytes).unwrap();
    let error = decode_image_file(&path, &options).unwrap_err().to_string();
    assert!(error.contains("a.bmp: the file has") && error.ends_with("the limit is 10"), "{error}");
}

#[test]
fn files_that_are_no_image_say_what_they_are() {
    assert_eq!(decode(&[]).unwrap_err(), "the file is empty");
    assert_eq!(
        decode(b"<!DOCTYPE html>").unwrap_err(),
        "not an image: expected PNG, JPEG, WebP, GIF or BMP, starts with \"<!DOCTYP\""
    );
    assert_eq!(
        decode(b"II*\0\x08\0\0\0").unwrap_err(),
        "TIFF is not supported: expected PNG, JPEG, WebP, GIF or BMP"
    );
    let missing = decode_image_file("no/such.png".as_ref(), &DecodeOptions::default());
    let missing = missing.unwrap_err().to_string();
    assert!(missing.starts_with("read no/such.png: No such file"), "{missing}");
}

#[test]
fn a_truncated_file_is_refused_in_every_format() {
    let noise = image::RgbImage::from_fn(40, 40, |x, y| {
        let value = (x * 7919 + y * 104_729) % 65_521;
        image::Rgb([value as u8, (value >> 3) as u8, (value >> 7) as u8])
    });
    let rgba = DynamicImage::from(noise.clone()).to_rgba8();
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp)
        .encode(noise.as_raw(), 40, 40, ExtendedColorType::Rgb8)
        .unwrap();
    for (name, bytes) in [
        ("PNG", file(ImageFormat::Png, noise.clone())),
        ("JPEG", file(ImageFormat::Jpeg, noise.clone())),
        ("BMP", file(ImageFormat::Bmp, noise)),
        ("GIF", file(ImageFormat::Gif, rgba)),
        ("WebP", webp),
    ] {
        for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10] {
            let error = decode(&bytes[..cut]).unwrap_err();
            assert!(error.starts_with(&format!("the {name} file ")), "{name} {cut}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_are_read_or_refused(
        which in 0usize..5,
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let formats =
            [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];
        let image = DynamicImage::from(sample());
        let image = if formats[which] == ImageFormat::Gif { image.to_rgba8().into() } else { image };
        let mut bytes = file(formats[which], image);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let limits = ImageLimits { max_pixels: 1 << 16, ..ImageLimits::default() };
        let options = DecodeOptions { limits, ..DecodeOptions::default() };
        let _ = decode_image(&bytes, &options);
        let _ = decode_image(&bytes[..cut.index(bytes.len())], &options);
    }
}
