//! Exhibits of a run: tables and pictures of its evaluations, as files in the folder `exhibits` of its folder.
//! The manifest lists them with their captions and digests.

use std::collections::BTreeSet;
use std::io::Cursor;

use framework::plugin::{Exhibit, ExhibitCells, ExhibitContent, Pixels};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tables::{Table, Values};

use crate::storage::names::{EXHIBITS, is_exhibit};

/// An exhibit, as the manifest of its run lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExhibitFile {
    /// Name of its file in the folder of exhibits: `NAME.parquet` for a table, `NAME.png` for a picture.
    pub file: String,
    /// Name of the evaluation that it is of.
    pub evaluation: String,
    /// What it shows.
    pub caption: String,
    /// Digest of the file: BLAKE3 in hex.
    pub digest: String,
}

impl ExhibitFile {
    /// Returns its path from the folder of the run.
    pub fn path(&self) -> String {
        format!("{EXHIBITS}/{}", self.file)
    }

    /// Returns its name: that of its file without the ending.
    pub fn name(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }

    /// Returns whether it is a picture, and else a table.
    pub fn is_picture(&self) -> bool {
        self.file.ends_with(".png")
    }
}

/// Reads the list of exhibits, and refuses names that the program does not make, or more than it makes:
/// somebody else may have written the manifest.
pub(super) fn listed<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<ExhibitFile>, D::Error> {
    let all = Vec::<ExhibitFile>::deserialize(reader)?;
    if all.len() > Exhibit::MOST {
        return Err(D::Error::custom(format!("it lists {} exhibits", all.len())));
    }
    if let Some(strange) = all.iter().find(|one| !is_exhibit(&one.file)) {
        return Err(D::Error::custom(format!("`{}` is no exhibit", strange.file)));
    }
    match all.iter().map(ExhibitFile::name).collect::<BTreeSet<_>>().len() == all.len() {
        true => Ok(all),
        false => Err(D::Error::custom("it lists an exhibit twice")),
    }
}

/// Returns the entry of an exhibit in the manifest, still without a digest, and the bytes of its file.
///
/// # Errors
/// If it cannot be written in the format of the file.
pub fn exhibit_file(exhibit: &Exhibit) -> Result<(ExhibitFile, Vec<u8>), String> {
    let (end, bytes) = match &exhibit.content {
        ExhibitContent::Picture(pixels) => ("png", write_png(pixels)),
        ExhibitContent::Table(columns) => {
            let mut table = Table::default();
            for column in columns {
                let values = match &column.cells {
                    ExhibitCells::Numbers(values) => Values::Number(values.clone()),
                    ExhibitCells::Texts(values) => {
                        Values::Text(values.iter().cloned().map(Some).collect())
                    }
                };
                table.set(column.name.as_str(), values);
            }
            ("parquet", table.to_parquet().map_err(|error| error.to_string()))
        }
    };
    let (file, caption) = (format!("{}.{end}", exhibit.name), exhibit.caption.clone());
    let bytes = bytes.map_err(|what| format!("`{file}` cannot be stored: {what}"))?;
    let evaluation = exhibit.evaluation.clone();
    Ok((ExhibitFile { file, evaluation, caption, digest: String::new() }, bytes))
}

/// Returns a picture as the bytes of a PNG file.
///
/// # Errors
/// If its bytes are not those that its sides need.
pub fn write_png(pixels: &Pixels) -> Result<Vec<u8>, String> {
    pixels.check()?;
    // No side has more than 4,096 pixels.
    let (width, height) = (pixels.width as u32, pixels.height as u32);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), width, height);
    encoder.set_color(match pixels.channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    encoder.set_compression(png::Compression::High);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels.bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Reads a picture from the bytes of a PNG file, which somebody else may have written: only what
/// [`write_png`] can write is read.
///
/// # Errors
/// If it is no such file.
pub fn read_png(bytes: &[u8]) -> Result<Pixels, String> {
    let limits = png::Limits { bytes: 4 * Pixels::MOST * Pixels::MOST };
    let decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let info = reader.info();
    let channels = match (info.color_type, info.bit_depth) {
        (png::ColorType::Grayscale, png::BitDepth::Eight) => 1,
        (png::ColorType::Rgb, png::BitDepth::Eight) => 3,
        _ => return Err("it is no picture of grey or colour bytes".to_owned()),
    };
    let (width, height) = (info.width as usize, info.height as usize);
    if width > Pixels::MOST || height > Pixels::MOST {
        return Err(format!("it is {width} by {height} pixels"));
    }
    let mut pixels = Pixels { width, height, channels, bytes: vec![0; width * height * channels] };
    pixels.check()?;
    if reader.output_buffer_size() != Some(pixels.bytes.len()) {
        return Err("it declares another size than its sides need".to_owned());
    }
    reader.next_frame(&mut pixels.bytes).map_err(|error| error.to_string())?;
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(channels: usize) -> Pixels {
        let bytes = (0..6 * channels as u8).map(|at| at * 9).collect();
        Pixels { width: 3, height: 2, channels, bytes }
    }

    /// Wrong if a picture were another once it has been stored.
    #[test]
    fn pictures_are_read_as_they_were_written() {
        for channels in [1, 3] {
            let bytes = write_png(&picture(channels)).unwrap();
            assert_eq!(read_png(&bytes).unwrap(), picture(channels));
            for cut in 0..bytes.len() - 12 {
                assert!(read_png(&bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(write_png(&Pixels { width: 2, ..picture(1) }).is_err());
    }

    /// Wrong if a file could ask for more memory than a picture has, or be of another form.
    #[test]
    fn pictures_of_others_are_refused() {
        let encoded = |width, height, color: png::ColorType, depth: png::BitDepth, row: usize| {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), width, height);
            encoder.set_color(color);
            encoder.set_depth(depth);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(&vec![0; row * height as usize]).unwrap();
            drop(writer);
            bytes
        };
        use png::BitDepth::{Eight, Sixteen};
        use png::ColorType::{Grayscale, Rgba};
        assert!(read_png(&encoded(2, 2, Grayscale, Eight, 2)).is_ok());
        assert!(read_png(&encoded(2, 2, Grayscale, Sixteen, 4)).is_err());
        assert!(read_png(&encoded(2, 2, Rgba, Eight, 8)).is_err());
        assert!(read_png(&encoded(5000, 1, Grayscale, Eight, 5000)).is_err());
        let mut huge = encoded(2, 2, Grayscale, Eight, 2);
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        assert!(read_png(&huge).is_err());
        assert!(read_png(b"").is_err() && read_png(b"\x89PNG\r\n\x1a\n").is_err());
    }

    /// Wrong if a manifest of somebody else's could name a file elsewhere.
    #[test]
    fn only_names_of_exhibits_are_listed() {
        let list = |files: &[&str]| {
            let entry = |file: &&str| {
                let (evaluation, caption, digest) = ("e", "c", "d");
                serde_json::json!({ "file": file, "evaluation": evaluation, "caption": caption, "digest": digest })
            };
            let text = serde_json::Value::from_iter(files.iter().map(entry)).to_string();
            listed(&mut serde_json::Deserializer::from_str(&text)).map(|all| all.len())
        };
        assert_eq!(list(&["map.png", "map_2.parquet"]).unwrap(), 2);
        for file in ["../map.png", "a/b.png", "map.svg", ".png", "Map.png", "map.png.png", ""] {
            assert!(list(&[file]).is_err(), "{file}");
        }
        assert!(list(&["map.png", "map.parquet"]).is_err());
        assert!(list(&["map.png"; 65]).is_err());
    }
}
