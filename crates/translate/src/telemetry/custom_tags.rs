//! Tags that spans carry: who the workload is, what dry runs of authorization said, and the user's own (spec 7.4;
//! row T15).

use std::collections::BTreeMap;

use proto::envoy::metadata::{
    MetadataKey, MetadataKind, metadata_key::PathSegment, metadata_key::path_segment::Segment, metadata_kind,
};
use proto::envoy::tracing as spans;
use proto::istio::mesh::{Tracing, tracing as of_proxy};
use proto::istio::telemetry::tracing as of_telemetry;

use crate::Context;

const DRY_RUN: &[(&str, &str)] = &[
    ("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
];

/// The tags that Istio itself adds.
pub(super) fn of_mesh(ctx: &Context<'_>) -> Vec<spans::CustomTag> {
    let class = ctx.class();
    // The canonical labels alone count; the injector derives them where a pod has none.
    let or = |value: &str, default: &str| (if value.is_empty() { default } else { value }).to_owned();
    let label = |key: &str, default: &str| or(class.labels.value(key).unwrap_or_default(), default);
    let service = label("service.istio.io/canonical-name", "unknown");
    let revision = label("service.istio.io/canonical-revision", "latest");
    let mut tags: Vec<spans::CustomTag> = DRY_RUN.iter().map(|(tag, key)| authorization(tag, key)).collect();
    tags.push(literal("istio.canonical_revision", revision));
    tags.push(literal("istio.canonical_service", service));
    tags.push(literal("istio.cluster_id", or(&class.metadata.cluster_id, "unknown")));
    tags.push(literal("istio.mesh_id", or(&class.metadata.mesh_id, "unknown")));
    tags.push(literal("istio.namespace", or(class.namespace.as_str(), "default")));
    tags
}

/// The tags of the ProxyConfig.
pub(super) fn of_proxy_config(config: &Tracing) -> Vec<spans::CustomTag> {
    let tag = |(name, tag): (&String, &of_proxy::CustomTag)| {
        Some(match tag.r#type.as_ref()? {
            of_proxy::custom_tag::Type::Literal(literal) => self::literal(name, literal.value.clone()),
            of_proxy::custom_tag::Type::Environment(own) => environment(name, &own.name, &own.default_value),
            of_proxy::custom_tag::Type::Header(own) => header(name, &own.name, &own.default_value),
        })
    };
    config.custom_tags.iter().filter_map(tag).collect()
}

/// The tags of a Telemetry object.
pub(super) fn of_telemetry(tags: &BTreeMap<String, of_telemetry::CustomTag>) -> Vec<spans::CustomTag> {
    let tag = |(name, tag): (&String, &of_telemetry::CustomTag)| {
        Some(match tag.r#type.as_ref()? {
            of_telemetry::custom_tag::Type::Literal(literal) => self::literal(name, literal.value.clone()),
            of_telemetry::custom_tag::Type::Environment(own) => {
                environment(name, &own.name, &own.default_value)
            }
            of_telemetry::custom_tag::Type::Header(own) => header(name, &own.name, &own.default_value),
            of_telemetry::custom_tag::Type::Formatter(own) => {
                custom(name, spans::custom_tag::Type::Value(own.value.clone()))
            }
        })
    };
    tags.iter().filter_map(tag).collect()
}

fn custom(tag: &str, kind: spans::custom_tag::Type) -> spans::CustomTag {
    spans::CustomTag { tag: tag.to_owned(), r#type: Some(kind) }
}

fn environment(tag: &str, name: &str, default_value: &str) -> spans::CustomTag {
    custom(
        tag,
        spans::custom_tag::Type::Environment(spans::custom_tag::Environment {
            name: name.to_owned(),
            default_value: default_value.to_owned(),
        }),
    )
}

fn header(tag: &str, name: &str, default_value: &str) -> spans::CustomTag {
    custom(
        tag,
        spans::custom_tag::Type::RequestHeader(spans::custom_tag::Header {
            name: name.to_owned(),
            default_value: default_value.to_owned(),
        }),
    )
}

fn literal(tag: &str, value: String) -> spans::CustomTag {
    custom(tag, spans::custom_tag::Type::Literal(spans::custom_tag::Literal { value }))
}

fn authorization(tag: &str, key: &str) -> spans::CustomTag {
    spans::CustomTag {
        tag: tag.to_owned(),
        r#type: Some(spans::custom_tag::Type::Metadata(spans::custom_tag::Metadata {
            kind: Some(MetadataKind { kind: Some(metadata_kind::Kind::Request(metadata_kind::Request {})) }),
            metadata_key: Some(MetadataKey {
                key: "envoy.filters.http.rbac".to_owned(),
                path: vec![PathSegment { segment: Some(Segment::Key(key.to_owned())) }],
            }),
            ..Default::default()
        })),
    }
}
