//! The functions that injectors have beyond Sprig's, and the names of those that cannot be had here.

use std::sync::Arc;

use gotmpl::Value;
use serde_json::{Value as Json, json as object};

use super::Look::{Deep, Shallow};
use super::arguments::{amount, at, show, text_at, wrong};
use super::collections::{members, pairs};
use super::encoding::{original, read};
use super::strings::{indented, last_text};
use super::{Context, Outcome, Table};
use crate::value::{Members, map, text, untyped};

pub(super) const TABLE: Table = &[
    ("annotation", Shallow, annotation),
    ("isset", Shallow, |_, a| Ok(Value::Bool(members("isset", a, 0)?.contains_key(text_at("isset", a, 1)?)))),
    ("valueOrDefault", Shallow, |_, a| {
        let value = at("valueOrDefault", a, 0)?;
        let missing = matches!(value, Value::Nil) || value.as_str() == Some("");
        Ok(if missing { at("valueOrDefault", a, 1)? } else { value }.clone())
    }),
    ("excludeInboundPort", Shallow, |_, a| {
        Ok(text(with_port(&show(at("excludeInboundPort", a, 0)?), text_at("excludeInboundPort", a, 1)?)))
    }),
    ("includeInboundPorts", Deep, |_, a| Ok(text(ports(at("includeInboundPorts", a, 0)?, |_| true)))),
    ("applicationPorts", Deep, |_, a| {
        Ok(text(ports(at("applicationPorts", a, 0)?, |name| name != "istio-proxy")))
    }),
    ("kubevirtInterfaces", Shallow, |_, a| Ok(text(text_at("kubevirtInterfaces", a, 0)?))),
    ("excludeInterfaces", Shallow, |_, a| Ok(text(text_at("excludeInterfaces", a, 0)?))),
    ("formatDuration", Shallow, |_, a| Ok(text(go_duration(text_at("formatDuration", a, 0)?)))),
    ("toJSON", Deep, |c, a| Ok(text(json_or_braces(&original(c, at("toJSON", a, 0)?))))),
    ("structToJSON", Deep, |c, a| Ok(text(json_or_braces(&original(c, at("structToJSON", a, 0)?))))),
    ("protoToJSON", Deep, |c, a| Ok(text(json_or_braces(&original(c, at("protoToJSON", a, 0)?))))),
    ("fromJSON", Deep, |_, a| Ok(read(text_at("fromJSON", a, 0)?).unwrap_or_else(|| text("{}")))),
    ("toJsonMap", Deep, |_, a| Ok(text(crate::value::json(&map(laid_over("toJsonMap", a)?)).to_string()))),
    ("mergeMaps", Deep, |_, a| Ok(map(laid_over("mergeMaps", a)?))),
    ("omit", Deep, |_, a| {
        let unwanted: Vec<String> = a.iter().skip(1).map(show).collect();
        let kept =
            members("omit", a, 0)?.iter().filter(|(key, _)| !unwanted.iter().any(|name| **name == ***key));
        Ok(map(kept.map(|(key, value)| (Arc::clone(key), value.clone())).collect()))
    }),
    ("strdict", Deep, |_, a| Ok(map(pairs(a)))),
    ("omitNil", Deep, |_, a| Ok(without_nil(at("omitNil", a, 0)?))),
    // Unlike Sprig's: the first line stays where the template has put it.
    ("indent", Deep, |_, a| {
        let lines = indented("indent", a)?;
        Ok(text(lines.get(amount("indent", a, 0)?..).unwrap_or_default()))
    }),
    ("directory", Shallow, |_, a| {
        let path = text_at("directory", a, 0)?;
        Ok(text(path.rfind('/').and_then(|end| path.get(..=end)).unwrap_or_default()))
    }),
    ("contains", Deep, |_, a| {
        Ok(Value::Bool(text_at("contains", a, 1)?.contains(text_at("contains", a, 0)?)))
    }),
    ("toLower", Deep, |_, a| Ok(text(last_text("toLower", a)?.to_lowercase()))),
    ("appendMultusNetwork", Deep, |_, a| {
        Ok(text(with_network(text_at("appendMultusNetwork", a, 0)?, text_at("appendMultusNetwork", a, 1)?)))
    }),
    ("env", Shallow, |c, a| {
        let value = c.environment.variable(text_at("env", a, 0)?).filter(|value| !value.is_empty());
        let default = if a.len() > 1 { text_at("env", a, 1)? } else { "" };
        Ok(value.map_or_else(|| text(default), text))
    }),
    ("otelResourceAttributes", Deep, otel_attributes),
];

/// Sprig's functions that need a clock, chance, the network or a file: they parse, so that a template which never
/// comes to them works, and fail where they are called.
pub(super) const UNAVAILABLE: Table = &[
    ("now", Shallow, unavailable),
    ("date", Shallow, unavailable),
    ("dateInZone", Shallow, unavailable),
    ("ago", Shallow, unavailable),
    ("unixEpoch", Shallow, unavailable),
    ("htmlDate", Shallow, unavailable),
    ("expandenv", Shallow, unavailable),
    ("getHostByName", Shallow, unavailable),
    ("uuidv4", Shallow, unavailable),
    ("randAlphaNum", Shallow, unavailable),
    ("randAlpha", Shallow, unavailable),
    ("randAscii", Shallow, unavailable),
    ("randNumeric", Shallow, unavailable),
    ("randInt", Shallow, unavailable),
    ("randBytes", Shallow, unavailable),
    ("shuffle", Shallow, unavailable),
    ("genPrivateKey", Shallow, unavailable),
    ("genCA", Shallow, unavailable),
    ("genSelfSignedCert", Shallow, unavailable),
    ("genSignedCert", Shallow, unavailable),
    ("derivePassword", Shallow, unavailable),
    ("bcrypt", Shallow, unavailable),
    ("htpasswd", Shallow, unavailable),
    ("encryptAES", Shallow, unavailable),
    ("decryptAES", Shallow, unavailable),
    ("sha1sum", Shallow, unavailable),
    ("sha256sum", Shallow, unavailable),
    ("sha512sum", Shallow, unavailable),
    ("adler32sum", Shallow, unavailable),
];

fn unavailable(_: &Context, _: &[Value]) -> Outcome {
    Err(wrong(
        "a function that needs time, chance, keys or digests cannot be called in an injection template",
    ))
}

fn annotation(_: &Context, arguments: &[Value]) -> Outcome {
    let meta = at("annotation", arguments, 0)?;
    let name = text_at("annotation", arguments, 1)?;
    let given = meta.field("Annotations").and_then(|all| all.field(name));
    match given {
        Some(value) => Ok(value.clone()),
        None => Ok(text(show(at("annotation", arguments, 2)?))),
    }
}

/// A list of ports with one more, unless it is there already or is none.
fn with_port(port: &str, excluded: &str) -> String {
    let port = port.trim();
    if port.is_empty() || port == "0" || excluded.split(',').any(|known| known == port) {
        return excluded.to_owned();
    }
    let known = excluded.split(',').map(str::trim).filter(|known| !known.is_empty());
    known.chain([port]).collect::<Vec<_>>().join(",")
}

/// The TCP ports of containers.
fn ports(containers: &Value, wanted: impl Fn(&str) -> bool) -> String {
    let Value::List(containers) = containers else { return String::new() };
    let name = |container: &Value| container.field("Name").map(show).unwrap_or_default();
    let mut all = Vec::new();
    for container in containers.iter().filter(|container| wanted(&name(container))) {
        let Some(Value::List(ports)) = container.field("Ports") else { continue };
        for port in ports.iter() {
            let protocol = port.field("Protocol").map(show).unwrap_or_default();
            if protocol != "UDP" && protocol != "SCTP" {
                all.push(port.field("ContainerPort").map(show).unwrap_or_default());
            }
        }
    }
    all.join(",")
}

/// A duration of protobuf's JSON in Go's words: `90s` is `1m30s`.
fn go_duration(json: &str) -> String {
    let Some(seconds) = json.strip_suffix('s').and_then(|number| number.parse::<f64>().ok()) else {
        return "0s".to_owned();
    };
    let sign = if seconds < 0.0 { "-" } else { "" };
    let nanos = (seconds.abs() * 1e9).round() as u64;
    if nanos == 0 {
        return "0s".to_owned();
    }
    let decimal = |number: u64, unit: u64| {
        let number = format!("{}.{:0width$}", number / unit, number % unit, width = unit.ilog10() as usize);
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn json_or_braces(json: &Json) -> String {
    if json.is_null() { "{}".to_owned() } else { json.to_string() }
}

fn laid_over(name: &str, arguments: &[Value]) -> Result<Members, gotmpl::TemplateError> {
    let mut all = Members::new();
    for index in 0..arguments.len() {
        all.extend(members(name, arguments, index)?.clone());
    }
    Ok(all)
}

/// Without members and items that are nothing, or were nothing but that.
fn without_nil(value: &Value) -> Value {
    let becomes_nothing = |was_empty: bool, is_empty: bool| is_empty && !was_empty;
    match value {
        Value::Map(all) => {
            let kept: Members = all
                .iter()
                .map(|(key, value)| (Arc::clone(key), without_nil(value)))
                .filter(|(_, value)| !matches!(value, Value::Nil))
                .collect();
            if becomes_nothing(all.is_empty(), kept.is_empty()) { Value::Nil } else { map(kept) }
        }
        Value::List(all) => {
            let kept: Vec<Value> =
                all.iter().map(without_nil).filter(|value| !matches!(value, Value::Nil)).collect();
            if becomes_nothing(all.is_empty(), kept.is_empty()) {
                Value::Nil
            } else {
                crate::value::list(kept)
            }
        }
        other => other.clone(),
    }
}

/// The annotation of Multus with one more network, in whichever of its two forms it has.
fn with_network(known: &str, network: &str) -> String {
    if known.is_empty() {
        return network.to_owned();
    }
    let Some(end) = known.rfind(']') else {
        let already = known.split(',').any(|known| known.trim() == network);
        return if already { known.to_owned() } else { format!("{known}, {network}") };
    };
    let Ok(Json::Array(networks)) = serde_json::from_str(known) else { return known.to_owned() };
    let (namespace, name) = network.split_once('/').unwrap_or(("", network));
    let text_of =
        |network: &Json, member: &str| network.get(member).and_then(Json::as_str).unwrap_or("").to_owned();
    if networks.iter().any(|known| text_of(known, "name") == name && text_of(known, "namespace") == namespace)
    {
        return known.to_owned();
    }
    let added = if namespace.is_empty() {
        object!({"name": name})
    } else {
        object!({"name": name, "namespace": namespace})
    };
    let (before, after) = known.split_at(end);
    format!("{before}, {added}{after}")
}

/// `OTEL_RESOURCE_ATTRIBUTES` where a tracing provider asks for OpenTelemetry's conventions; else empty.
fn otel_attributes(context: &Context, arguments: &[Value]) -> Outcome {
    let mesh = original(context, at("otelResourceAttributes", arguments, 0)?);
    let asked = mesh.get("extensionProviders").and_then(Json::as_array).is_some_and(|providers| {
        providers.iter().any(|provider| {
            provider.pointer("/opentelemetry/serviceAttributeEnrichment").and_then(Json::as_str)
                == Some("OTEL_SEMANTIC_CONVENTIONS")
        })
    });
    if !asked {
        return Ok(text(""));
    }
    let annotations = members("otelResourceAttributes", arguments, 1)?;
    let labels = members("otelResourceAttributes", arguments, 2)?;
    let namespace = text_at("otelResourceAttributes", arguments, 3)?;
    let containers = untyped(&original(context, at("otelResourceAttributes", arguments, 4)?));
    let containers = if let Value::List(containers) = &containers { containers.as_ref() } else { &[] };
    let of = |members: &Members, name: &str| members.get(name).map(show).filter(|value| !value.is_empty());
    let stated = |name: &str| of(annotations, &format!("resource.opentelemetry.io/{name}"));
    let first = |member: &str| containers.first().and_then(|one| one.field(member)).map(show);
    let namespace_attribute =
        stated("service.namespace").or_else(|| Some(namespace.to_owned()).filter(|n| !n.is_empty()));
    let version =
        stated("service.version").or_else(|| of(labels, "app.kubernetes.io/version")).or_else(|| {
            let image = (containers.len() == 1).then(|| first("image"))??;
            image_version(&image)
        });
    let instance =
        stated("service.instance.id").or_else(|| Some(format!("{namespace}.$(POD_NAME).{}", first("name")?)));
    let all = [
        ("service.namespace", namespace_attribute),
        ("service.version", version),
        ("service.instance.id", instance),
    ];
    let all = all.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    Ok(text(all.collect::<Vec<_>>().join(",")))
}

/// The tag and digest of an image.
fn image_version(image: &str) -> Option<String> {
    let (image, digest) = image.split_once('@').map_or((image, ""), |(image, digest)| (image, digest));
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.rsplit_once(':').map_or("", |(_, tag)| tag);
    let parts: Vec<&str> = [tag, digest].into_iter().filter(|part| !part.is_empty()).collect();
    Some(parts.join("@")).filter(|version| !version.is_empty())
}
