//! `pathNormalization`: how a request's path is rewritten before anything looks at it (spec 4.4; security 9).

use proto::envoy::google::boolean;
use proto::envoy::hcm::{HttpConnectionManager, http_connection_manager::PathWithEscapedSlashesAction};
use proto::istio::mesh::mesh_config::proxy_path_normalization::NormalizationType;

use super::HcmDefaults;

pub(super) fn apply(defaults: &HcmDefaults, manager: &mut HttpConnectionManager) {
    let kind = NormalizationType::try_from(defaults.normalization).unwrap_or_default();
    let (normalize, merge, decode) = match kind {
        NormalizationType::None => (false, false, false),
        NormalizationType::Default | NormalizationType::Base => (true, false, false),
        NormalizationType::MergeSlashes => (true, true, false),
        NormalizationType::DecodeAndMergeSlashes => (true, true, true),
    };
    manager.normalize_path = Some(boolean(normalize));
    manager.merge_slashes = merge;
    let action = if decode {
        PathWithEscapedSlashesAction::UnescapeAndForward
    } else {
        PathWithEscapedSlashesAction::KeepUnchanged
    };
    manager.path_with_escaped_slashes_action = action as i32;
}
