//! All objects of some kinds as they are stored at one moment, for what looks once and does not watch.

use config::Kind;
use kube::Client;
use serde_json::Value;

use crate::definitions::Definitions;
use crate::place::Place;
use crate::request::list;
use crate::trust::RequestError;

/// Reads all objects of these kinds, as JSON with their kind. Kinds that the API server does not have are empty; those
/// that cannot be listed are told beside. An error if the API server does not answer.
pub async fn read_all(client: &Client, kinds: &[Kind]) -> Result<(Vec<Value>, Vec<String>), RequestError> {
    let mut faults = Vec::new();
    let mut definitions = Definitions::default();
    let mut number = 0_usize;
    let of_definitions = Place::of_definitions();
    let outcome = list(client, &of_definitions, |page| {
        for raw in page {
            number += 1;
            definitions.put(&number.to_string(), raw);
        }
    });
    if let Err(fault) = outcome.await {
        faults.push(format!(
            "definitions cannot be listed, so Istio's objects are unknown: {}",
            fault.message()
        ));
    }
    let defined = definitions.places();
    let mut objects = Vec::new();
    let mut n_read = 0;
    for kind in kinds {
        let Some(place) = Place::of_built_in(*kind).or_else(|| defined.get(kind).cloned()) else { continue };
        let api_version = place.api_version();
        let mut of_kind = Vec::new();
        let outcome = list(client, &place, |page| {
            of_kind.extend(page.iter().filter_map(|raw| {
                let mut object: Value = serde_json::from_str(raw.get()).ok()?;
                let members = object.as_object_mut()?;
                members.insert("apiVersion".to_owned(), Value::String(api_version.clone()));
                members.insert("kind".to_owned(), Value::String(kind.name().to_owned()));
                Some(object)
            }));
        });
        match outcome.await {
            Ok(_) => {
                n_read += 1;
                objects.append(&mut of_kind);
            }
            // Where not even two lists come, there is no API server to ask for the others.
            Err(fault) if n_read == 0 && !faults.is_empty() => return Err(fault.into()),
            Err(fault) => faults.push(format!("{kind} cannot be listed: {}", fault.message())),
        }
    }
    Ok((objects, faults))
}
