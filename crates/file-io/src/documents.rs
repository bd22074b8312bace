//! The text of a file becomes JSON values, one a document. Marks of byte order are passed over, anchors and merge
//! keys resolved, empty documents skipped, a `List` of Kubernetes opened.

use serde_json::Value;

/// Longer files are refused.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// Reads every document of a file, or says why it cannot be read.
pub(crate) fn read_documents(bytes: &[u8], is_json: bool) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("the file is not UTF-8: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    if is_json {
        for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            open_list(document.map_err(|error| format!("the file is not JSON: {error}"))?, &mut documents);
        }
    } else {
        for document in
            config::yaml::documents(text).map_err(|error| format!("the file is not YAML: {error}"))?
        {
            open_list(document, &mut documents);
        }
    }
    Ok(documents)
}

/// Adds a document, or the items of one that is a list, as `kubectl get -o yaml` prints it.
fn open_list(document: Value, documents: &mut Vec<Value>) {
    let is_list = document.get("kind").is_some_and(|kind| kind == "List")
        && document.get("apiVersion").is_some_and(|version| version == "v1");
    match document {
        Value::Null => {}
        Value::Object(mut members) if is_list => {
            if let Some(Value::Array(items)) = members.remove("items") {
                documents.extend(items.into_iter().filter(|item| !item.is_null()));
            }
        }
        document => documents.push(document),
    }
}
