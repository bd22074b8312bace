//! The ConfigMap `istio-sidecar-injector` becomes a [`Config`]: policy, templates, aliases, selectors, and the values
//! of the installation (platform specification, 6.3). The document is refused as a whole or taken as a whole.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::Template;
use crate::value::untyped;

/// What decides on pods that say nothing themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They get a proxy.
    Enabled,
    /// They get none.
    Disabled,
    /// The document has a word that means nothing: nobody gets a proxy.
    #[default]
    Unknown,
}

/// A label selector of Kubernetes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// Whether it names anything and the labels have it. What is no selector matches nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let names = !self.match_labels.is_empty() || !self.match_expressions.is_empty();
        let expression = |requirement: &Requirement| {
            let label = labels.get(&requirement.key);
            let listed = label.is_some_and(|label| requirement.values.contains(label));
            // Kubernetes wants values for the first two, and none for the others.
            match (requirement.operator.as_str(), requirement.values.is_empty()) {
                ("In", false) => listed,
                ("NotIn", false) => !listed,
                ("Exists", true) => label.is_some(),
                ("DoesNotExist", true) => label.is_none(),
                _ => false,
            }
        };
        names
            && self.match_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
            && self.match_expressions.iter().all(expression)
    }
}

/// What the injector is told by whoever installed it.
#[derive(Debug, Default)]
pub struct Config {
    /// For pods that say nothing.
    pub policy: Policy,
    /// The templates of pods that name none.
    pub default_templates: Vec<String>,
    /// Templates by name.
    pub templates: BTreeMap<String, Template>,
    /// Names that stand for several templates.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Pods that get none, unless they ask.
    pub never: Vec<Selector>,
    /// Pods that get one, unless they refuse.
    pub always: Vec<Selector>,
    /// Annotations for every pod that gets one.
    pub annotations: BTreeMap<String, String>,
    /// The values of the installation.
    pub values: Values,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    policy: String,
    default_templates: Option<Vec<String>>,
    templates: Option<BTreeMap<String, String>>,
    aliases: Option<BTreeMap<String, Vec<String>>>,
    never_inject_selector: Option<Vec<Selector>>,
    always_inject_selector: Option<Vec<Selector>>,
    injected_annotations: Option<BTreeMap<String, String>>,
}

impl Config {
    /// Reads the keys `config` and `values` of the ConfigMap. The error names the key and what is wrong there.
    pub fn parse(config: &str, values: &str) -> Result<Self, String> {
        let document = read(config).map_err(|error| format!("key config: {error}"))?;
        let document = if document.is_null() { Json::Object(Default::default()) } else { document };
        let document: Document =
            serde_json::from_value(document).map_err(|error| format!("key config: {error}"))?;
        let mut templates = BTreeMap::new();
        for (name, source) in document.templates.unwrap_or_default() {
            let template =
                Template::parse(&source).map_err(|error| format!("key config: template {name}: {error}"))?;
            templates.insert(name, template);
        }
        let default_templates = document.default_templates.filter(|names| !names.is_empty());
        Ok(Self {
            policy: match document.policy.as_str() {
                "enabled" => Policy::Enabled,
                "disabled" => Policy::Disabled,
                _ => Policy::Unknown,
            },
            default_templates: default_templates.unwrap_or_else(|| vec!["sidecar".to_owned()]),
            templates,
            aliases: document.aliases.unwrap_or_default(),
            never: document.never_inject_selector.unwrap_or_default(),
            always: document.always_inject_selector.unwrap_or_default(),
            annotations: document.injected_annotations.unwrap_or_default(),
            values: Values::parse(values).map_err(|error| format!("key values: {error}"))?,
        })
    }

    /// The templates of a pod, in order, aliases resolved (once, not through).
    pub(crate) fn chosen<'a>(&'a self, named: Option<&'a str>) -> Vec<&'a str> {
        let named: Vec<&str> = match named {
            Some(names) => names.split(',').map(str::trim).collect(),
            None => self.default_templates.iter().map(String::as_str).collect(),
        };
        let resolve =
            |name: &str| self.aliases.get(name).map(|names| names.iter().map(String::as_str).collect());
        named.into_iter().flat_map(|name| resolve(name).unwrap_or_else(|| vec![name])).collect()
    }
}

/// The values of the installation, as given and as templates see them.
#[derive(Debug, Default)]
pub struct Values {
    json: Json,
    pub(crate) data: gotmpl_value::Data,
}

/// Keeps the engine's value out of `Values`' own derive.
mod gotmpl_value {
    /// The values for templates.
    #[derive(Debug)]
    pub(crate) struct Data(pub(crate) gotmpl::Value);

    impl Default for Data {
        fn default() -> Self {
            Self(gotmpl::Value::Nil)
        }
    }
}

impl Values {
    /// Reads values as JSON or YAML.
    pub fn parse(document: &str) -> Result<Self, String> {
        let json = read(document)?;
        let json = if json.is_null() { Json::Object(Default::default()) } else { json };
        if !json.is_object() {
            return Err("it must be a mapping".to_owned());
        }
        Ok(Self { data: gotmpl_value::Data(untyped(&json)), json })
    }

    /// The value at a path of members, as `/global/proxy/image`.
    pub(crate) fn at(&self, path: &str) -> Option<&Json> {
        self.json.pointer(path)
    }

    /// The text at a path; numbers as they are written.
    pub(crate) fn text(&self, path: &str) -> String {
        match self.at(path) {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    /// The flag at a path; off if absent.
    pub(crate) fn flag(&self, path: &str) -> bool {
        self.at(path) == Some(&Json::Bool(true))
    }
}

/// Brackets that may be open at once: readers of YAML take time that grows with their square.
pub(crate) const MAX_BRACKETS: usize = 500;

/// How many brackets are open at the most, by a rough count that takes those in strings too.
pub(crate) fn brackets(text: &str) -> usize {
    let mut most = 0;
    text.bytes().fold(0_usize, |open, byte| {
        let open = match byte {
            b'[' | b'{' => open + 1,
            b']' | b'}' => open.saturating_sub(1),
            _ => open,
        };
        most = most.max(open);
        open
    });
    most
}

/// The first document of a text of YAML, no deeper than anything may be.
pub(crate) fn read(text: &str) -> Result<Json, String> {
    if brackets(text) > MAX_BRACKETS {
        return Err("it nests too deeply".to_owned());
    }
    let document = match ::config::yaml::documents(text) {
        Ok(documents) => documents.into_iter().next().unwrap_or_default(),
        // Istio's templates name some members twice and count on the last.
        Err(error) => lenient(text).ok_or(error)?,
    };
    if crate::pod::is_too_deep(&document) {
        return Err("it nests too deeply".to_owned());
    }
    Ok(document)
}

/// Reads YAML in which a member may stand twice: the last holds, as in the reader that istiod has.
fn lenient(text: &str) -> Option<Json> {
    serde_yaml::Deserializer::from_str(text).next().and_then(|document| Json::deserialize(document).ok())
}
