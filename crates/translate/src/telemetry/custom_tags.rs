//! Tags that spans carry: who the workload is, what dry runs of authorization said, and the user's own (spec 7.4;
//! row T15).

use proto::envoy::metadata::{
    MetadataKey, MetadataKind, metadata_key::PathSegment, metadata_key::path_segment::Segment, metadata_kind,
};
use proto::envoy::tracing::{CustomTag, custom_tag};
use proto::istio::mesh::{Tracing, tracing::custom_tag::Type as Configured};

use crate::Context;

const DRY_RUN: &[(&str, &str)] = &[
    ("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
];

/// The tags that Istio itself adds.
pub(super) fn of_mesh(ctx: &Context<'_>) -> Vec<CustomTag> {
    let class = ctx.class();
    // The canonical labels alone count; the injector derives them where a pod has none.
    let or = |value: &str, default: &str| (if value.is_empty() { default } else { value }).to_owned();
    let label = |key: &str, default: &str| or(class.labels.value(key).unwrap_or_default(), default);
    let service = label("service.istio.io/canonical-name", "unknown");
    let revision = label("service.istio.io/canonical-revision", "latest");
    let mut tags: Vec<CustomTag> = DRY_RUN.iter().map(|(tag, key)| authorization(tag, key)).collect();
    tags.push(literal("istio.canonical_revision", revision));
    tags.push(literal("istio.canonical_service", service));
    tags.push(literal("istio.cluster_id", or(&class.metadata.cluster_id, "unknown")));
    tags.push(literal("istio.mesh_id", or(&class.metadata.mesh_id, "unknown")));
    tags.push(literal("istio.namespace", or(class.namespace.as_str(), "default")));
    tags
}

/// The tags of the ProxyConfig.
pub(super) fn of_proxy_config(tracing: &Tracing) -> Vec<CustomTag> {
    let tag = |(name, tag): (&String, &proto::istio::mesh::tracing::CustomTag)| {
        let kind = match tag.r#type.as_ref()? {
            Configured::Literal(literal) => {
                custom_tag::Type::Literal(custom_tag::Literal { value: literal.value.clone() })
            }
            Configured::Environment(environment) => custom_tag::Type::Environment(custom_tag::Environment {
                name: environment.name.clone(),
                default_value: environment.default_value.clone(),
            }),
            Configured::Header(header) => custom_tag::Type::RequestHeader(custom_tag::Header {
                name: header.name.clone(),
                default_value: header.default_value.clone(),
            }),
        };
        Some(CustomTag { tag: name.clone(), r#type: Some(kind) })
    };
    tracing.custom_tags.iter().filter_map(tag).collect()
}

fn literal(tag: &str, value: String) -> CustomTag {
    CustomTag { tag: tag.to_owned(), r#type: Some(custom_tag::Type::Literal(custom_tag::Literal { value })) }
}

fn authorization(tag: &str, key: &str) -> CustomTag {
    CustomTag {
        tag: tag.to_owned(),
        r#type: Some(custom_tag::Type::Metadata(custom_tag::Metadata {
            kind: Some(MetadataKind { kind: Some(metadata_kind::Kind::Request(metadata_kind::Request {})) }),
            metadata_key: Some(MetadataKey {
                key: "envoy.filters.http.rbac".to_owned(),
                path: vec![PathSegment { segment: Some(Segment::Key(key.to_owned())) }],
            }),
            ..Default::default()
        })),
    }
}
