//! Texts as MUGE and Chinese-CLIP have them: a JSON object a line.
//!
//! `{"query_id": 1, "query_text": "高级感托特包", "item_ids": [7, 9]}`, or `text_id`, `text`, `image_ids`. Several
//! pictures may be right for a text. A picture's number is the name of its file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::{Caption, PictureName};
use crate::lines::{self, place};
use crate::output::text::{escape_controls, show_path};

/// What the fields are called: number, text, right pictures.
const NAMES: [[&str; 3]; 2] = [["query_id", "query_text", "item_ids"], ["text_id", "text", "image_ids"]];

pub(super) fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<Caption>> {
    let mut captions = Vec::new();
    let mut lines_of_ids = HashMap::new();
    for (line, text) in lines::parse(path, bytes)? {
        let (id, caption) = object(&text, line).with_context(|| place(path, line))?;
        if let Some(first) = lines_of_ids.insert(id.clone(), line) {
            bail!("{} repeats the id {} of line {first}", place(path, line), escape_controls(&id));
        }
        captions.push(caption);
    }
    if captions.is_empty() {
        bail!(
            "{} has no texts: each line is {{\"text_id\": …, \"text\": …, \"image_ids\": […]}}",
            show_path(path)
        );
    }
    Ok(captions)
}

fn object(text: &str, line: usize) -> anyhow::Result<(String, Caption)> {
    let object: Map<String, Value> = serde_json::from_str(text).context("expected a JSON object")?;
    let [id_name, text_name, pictures_name] = NAMES
        .into_iter()
        .find(|[id, ..]| object.contains_key(*id))
        .context("expected query_id, query_text and item_ids, or text_id, text and image_ids")?;
    let id =
        object.get(id_name).and_then(id).with_context(|| format!("{id_name} is no number and no text"))?;
    let text = object.get(text_name).and_then(Value::as_str).map(str::trim);
    let text = text.with_context(|| format!("{text_name} is missing, or no text"))?;
    if text.is_empty() {
        bail!("{text_name} is empty");
    }
    let pictures = object.get(pictures_name).and_then(Value::as_array);
    let pictures = pictures.with_context(|| format!("{pictures_name} is missing, or no list"))?;
    if pictures.is_empty() {
        bail!("{pictures_name} is empty: the answers of a test set that are kept secret cannot be checked");
    }
    let name = |picture: &Value| {
        let name = self::id(picture)
            .with_context(|| format!("{pictures_name} has {picture}, no number and no text"))?;
        Ok(PictureName::Name(name))
    };
    let pictures = pictures.iter().map(name).collect::<anyhow::Result<Vec<_>>>()?;
    let number = id.parse().ok();
    Ok((id, Caption { text: text.to_owned(), line, number, pictures }))
}

/// A whole number, or a text that is not empty.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(text: &str) -> anyhow::Result<Vec<Caption>> {
        parse(Path::new("q.jsonl"), text.as_bytes())
    }

    #[test]
    fn both_names_of_the_fields() {
        let text = "{\"query_id\": 8, \"query_text\": \" 托特包 \", \"item_ids\": [7, 900719925474099]}\n\n\
                    {\"text_id\": \"t9\", \"text\": \"{}\", \"image_ids\": [\"a.jpg\"], \"more\": null}\r\n";
        let caption = |text: &str, line, number, pictures: &[&str]| Caption {
            text: text.into(),
            line,
            number,
            pictures: pictures.iter().map(|name| PictureName::Name((*name).into())).collect(),
        };
        assert_eq!(
            found(text).unwrap(),
            [caption("托特包", 1, Some(8), &["7", "900719925474099"]), caption("{}", 3, None, &["a.jpg"])]
        );
    }

    #[test]
    fn slips_are_told_with_their_place() {
        let good = "{\"text_id\": 1, \"text\": \"猫\", \"image_ids\": [1]}\n";
        for (line, told) in [
            ("{\"text_id\": 2", "expected a JSON object"),
            ("[1]", "expected a JSON object"),
            ("{\"id\": 2}", "expected query_id"),
            ("{\"text_id\": 2.5, \"text\": \"猫\", \"image_ids\": [1]}", "text_id is no number"),
            ("{\"text_id\": null, \"text\": \"猫\", \"image_ids\": [1]}", "text_id is no number"),
            ("{\"text_id\": 2, \"query_text\": \"猫\", \"image_ids\": [1]}", "text is missing"),
            ("{\"text_id\": 2, \"text\": \" \", \"image_ids\": [1]}", "text is empty"),
            ("{\"text_id\": 2, \"text\": \"猫\"}", "image_ids is missing"),
            ("{\"text_id\": 2, \"text\": \"猫\", \"image_ids\": []}", "image_ids is empty"),
            ("{\"query_id\": 2, \"query_text\": \"猫\", \"item_ids\": [-1]}", "item_ids has -1"),
            ("{\"text_id\": 1, \"text\": \"猫\", \"image_ids\": [1]}", "repeats the id 1 of line 1"),
        ] {
            let error = format!("{:#}", found(&format!("{good}{line}\n")).unwrap_err());
            assert!(error.contains("line 2 of q.jsonl") && error.contains(told), "{error}");
        }
        assert!(found("\n").unwrap_err().to_string().contains("q.jsonl has no texts"));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(("[a猫\"\\\\]{1,6}", prop::collection::vec(any::<u64>(), 1..4)), 1..6),
        ) {
            let lines = rows.iter().enumerate().map(|(id, (text, images))| {
                json!({ "text_id": id, "text": text, "image_ids": images }).to_string() + "\n"
            });
            let found = found(&lines.collect::<String>()).unwrap();
            prop_assert_eq!(found.len(), rows.len());
            for (index, (caption, (text, images))) in found.iter().zip(&rows).enumerate() {
                prop_assert_eq!((&caption.text, caption.number), (text, Some(index as u64)));
                let names: Vec<PictureName> = images.iter().map(|id| PictureName::Name(id.to_string())).collect();
                prop_assert_eq!(&caption.pictures, &names);
            }
        }

        #[test]
        fn nothing_panics(text in "[{}\\[\\]\":,a1 \n]{0,40}") {
            let _ = found(&text);
        }
    }
}
