//! Formats of access logs: text lines and JSON objects, with the formatters that their operators need (spec 7.3;
//! rows T06, T07).

use proto::envoy;
use proto::envoy::core::substitution_format_string::Format;
use proto::envoy::google::{Struct, string_value, struct_of};
use proto::istio::mesh::{MeshConfig, mesh_config::AccessLogEncoding};

/// Operators for which `formatters` adds extensions.
const OF_EXTENSIONS: &[&str] = &["REQ_WITHOUT_QUERY", "METADATA", "CEL"];

/// The line that is logged when no format is given.
pub(super) const DEFAULT_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
    \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% \
    %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const JSON: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
];

/// The format that the mesh's encoding and format string ask for; a JSON format that is no object is replaced by
/// the default one.
pub(super) fn of_mesh(config: &MeshConfig) -> envoy::core::SubstitutionFormatString {
    match config.access_log_encoding() {
        AccessLogEncoding::Text => text(&config.access_log_format),
        AccessLogEncoding::Json => {
            let own = match config.access_log_format.as_str() {
                "" => None,
                format => serde_json::from_str(format).ok().and_then(|value| object(&value)),
            };
            json(own.unwrap_or_else(|| struct_of(JSON.iter().map(|(key, op)| (*key, string_value(*op))))))
        }
    }
}

/// Lines of that format; the default one when it is empty.
pub(super) fn text(format: &str) -> envoy::core::SubstitutionFormatString {
    let line = match format {
        "" => DEFAULT_TEXT.to_owned(),
        // The listener would be refused with it; whoever wrote it is told.
        broken if proto::operators::refusal(broken, OF_EXTENSIONS).is_some() => DEFAULT_TEXT.to_owned(),
        own if own.ends_with('\n') => own.to_owned(),
        own => format!("{own}\n"),
    };
    envoy::core::SubstitutionFormatString {
        formatters: formatters(&line),
        format: Some(Format::TextFormatSource(envoy::core::DataSource {
            specifier: Some(envoy::core::data_source::Specifier::InlineString(line)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// JSON objects of these members; one with an operator that Envoy does not know is as written.
pub(super) fn json(mut members: Struct) -> envoy::core::SubstitutionFormatString {
    members.fields.values_mut().for_each(without_unknown);
    let mut operators = String::new();
    collect(&members, &mut operators);
    envoy::core::SubstitutionFormatString {
        formatters: formatters(&operators),
        json_format_options: Some(envoy::core::JsonFormatOptions::default()),
        format: Some(Format::JsonFormat(members)),
        ..Default::default()
    }
}

/// The extensions that operators in some format need.
pub(super) fn formatters(format: &str) -> Vec<envoy::core::TypedExtensionConfig> {
    let mut needed = Vec::new();
    if format.contains("%REQ_WITHOUT_QUERY") {
        let config = envoy::formatter_req_without_query::ReqWithoutQuery {};
        needed.push(extension("envoy.formatter.req_without_query", proto::pack::any(&config)));
    }
    if format.contains("%METADATA(") {
        let config = envoy::formatter_metadata::Metadata {};
        needed.push(extension("envoy.formatter.metadata", proto::pack::any(&config)));
    }
    if format.contains("%CEL(") {
        let config = envoy::formatter_cel::Cel::default();
        needed.push(extension("envoy.formatter.cel", proto::pack::any(&config)));
    }
    needed
}

fn extension(name: &str, config: envoy::google::Any) -> envoy::core::TypedExtensionConfig {
    envoy::core::TypedExtensionConfig { name: name.to_owned(), typed_config: Some(config) }
}

/// Texts that are no formats stand for themselves.
fn without_unknown(value: &mut envoy::google::Value) {
    use envoy::google::value::Kind;
    match &mut value.kind {
        Some(Kind::StringValue(text)) => {
            if proto::operators::refusal(text, OF_EXTENSIONS).is_some() {
                *text = text.replace('%', "%%");
            }
        }
        Some(Kind::StructValue(members)) => members.fields.values_mut().for_each(without_unknown),
        Some(Kind::ListValue(list)) => list.values.iter_mut().for_each(without_unknown),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_)) | None => {}
    }
}

/// All texts in a struct, one after another.
fn collect(members: &Struct, out: &mut String) {
    let mut keys: Vec<&String> = members.fields.keys().collect();
    keys.sort();
    for key in keys {
        if let Some(value) = members.fields.get(key) {
            collect_value(value, out);
        }
    }
}

fn collect_value(value: &envoy::google::Value, out: &mut String) {
    use envoy::google::value::Kind;
    match &value.kind {
        Some(Kind::StringValue(text)) => out.push_str(text),
        Some(Kind::StructValue(members)) => collect(members, out),
        Some(Kind::ListValue(list)) => list.values.iter().for_each(|value| collect_value(value, out)),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_)) | None => {}
    }
}

fn object(value: &serde_json::Value) -> Option<Struct> {
    let members = value.as_object()?;
    Some(struct_of(members.iter().map(|(key, value)| (key.clone(), member(value)))))
}

fn member(value: &serde_json::Value) -> envoy::google::Value {
    use proto::envoy::google::{bool_value, list_value, null_value, number_value, struct_value};
    match value {
        serde_json::Value::Null => null_value(),
        serde_json::Value::Bool(flag) => bool_value(*flag),
        serde_json::Value::Number(number) => number_value(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => string_value(text.clone()),
        serde_json::Value::Array(values) => list_value(values.iter().map(member)),
        serde_json::Value::Object(members) => {
            struct_value(members.iter().map(|(key, value)| (key.clone(), member(value))))
        }
    }
}

/// A struct of the mesh configuration as one of Envoy's.
pub(super) fn members(labels: &proto::wkt::Struct) -> Struct {
    struct_of(labels.fields.iter().map(|(key, value)| (key.clone(), value_of(value))))
}

/// The text of a value; what is no text counts as empty.
pub(super) fn text_of(value: &proto::wkt::Value) -> String {
    match &value.kind {
        Some(proto::wkt::value::Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

fn value_of(value: &proto::wkt::Value) -> envoy::google::Value {
    use proto::envoy::google::{bool_value, list_value, null_value, number_value, struct_value};
    use proto::wkt::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => null_value(),
        Some(Kind::NumberValue(number)) => number_value(*number),
        Some(Kind::StringValue(text)) => string_value(text.clone()),
        Some(Kind::BoolValue(flag)) => bool_value(*flag),
        Some(Kind::ListValue(list)) => list_value(list.values.iter().map(value_of)),
        Some(Kind::StructValue(members)) => {
            struct_value(members.fields.iter().map(|(key, value)| (key.clone(), value_of(value))))
        }
    }
}
