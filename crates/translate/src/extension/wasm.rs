//! The configuration of a WebAssembly extension. Where the module comes from and what the agent beside the proxy needs
//! to fetch it travel in the environment of the virtual machine; the agent takes that out again.

use std::sync::Arc;

use mesh::{Extension, Fact};
use proto::envoy;
use proto::envoy::core::{
    AsyncDataSource, DataSource, HttpUri, RemoteDataSource, TypedExtensionConfig, async_data_source,
    data_source, http_uri,
};
use proto::envoy::google::{Any, seconds};
use proto::envoy::wasm::{EnvironmentVariables, FailurePolicy, PluginConfig, VmConfig, plugin_config};
use proto::istio::extensions::traffic_extension::FilterConfig;
use proto::istio::extensions::{EnvValueSource, FailStrategy, PluginType, PullPolicy, WasmConfig};

use super::resource_name;
use crate::{Context, Input, Rendered, Resource};

const RUNTIME: &str = "envoy.wasm.runtime.v8";
const LOCAL: &str = "file://";
/// How long a module may take to arrive, in seconds.
const FETCH_TIMEOUT: i64 = 30;
const PULL_POLICY: &str = "ISTIO_META_WASM_IMAGE_PULL_POLICY";
const PULL_SECRET: &str = "ISTIO_META_WASM_IMAGE_PULL_SECRET";
/// By its change the agent knows that it must fetch again.
const VERSION: &str = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION";

/// Whether the module is a file beside the proxy.
pub(super) fn is_local(url: &str) -> bool {
    url.starts_with(LOCAL)
}

/// The configuration of the extension whose filter has that name.
pub(super) fn generate(ctx: &Context<'_>, name: &str) -> Option<Resource> {
    let class = ctx.class();
    let extensions = ctx.reader.extensions(&class.namespace, &class.labels);
    let extension = extensions.into_iter().find(|extension| resource_name(extension) == name)?;
    matches!(extension.spec.filter_config, Some(FilterConfig::Wasm(_)))
        .then(|| ctx.resource(name, &WasmInput(extension)))
}

#[derive(Hash)]
struct WasmInput(Arc<Fact<Extension>>);

impl Input for WasmInput {
    type Output = TypedExtensionConfig;
    const TAG: &'static str = "WasmInput";
    // The agent fetches the module and gives Envoy the path and the checksum that are not known here.
    const CHECKED: bool = false;

    fn render(&self) -> Rendered<TypedExtensionConfig> {
        let name = resource_name(&self.0);
        let Some(FilterConfig::Wasm(wasm)) = &self.0.spec.filter_config else {
            return TypedExtensionConfig { name, typed_config: None }.into();
        };
        let config = Some(self.plugin(wasm));
        let typed_config = if wasm.r#type() == PluginType::Network {
            proto::pack::any(&envoy::network_wasm::Wasm { config })
        } else {
            proto::pack::any(&envoy::http_wasm::Wasm { config })
        };
        TypedExtensionConfig { name, typed_config: Some(typed_config) }.into()
    }
}

impl WasmInput {
    fn plugin(&self, wasm: &WasmConfig) -> PluginConfig {
        let configuration = match &wasm.plugin_config {
            Some(config) => {
                proto::pack::any(&envoy::google::string(serde_json::to_string(config).unwrap_or_default()))
            }
            None => Any::default(),
        };
        let failure_policy = match wasm.fail_strategy() {
            FailStrategy::FailClose => FailurePolicy::FailClosed,
            FailStrategy::FailOpen => FailurePolicy::FailOpen,
            FailStrategy::FailReload => FailurePolicy::FailReload,
        };
        PluginConfig {
            name: format!("{}.{}", self.0.namespace, self.0.name),
            root_id: wasm.plugin_name.clone(),
            configuration: Some(configuration),
            failure_policy: failure_policy as i32,
            vm: Some(plugin_config::Vm::VmConfig(VmConfig {
                runtime: RUNTIME.to_owned(),
                code: Some(code(wasm)),
                environment_variables: Some(self.environment(wasm)),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    fn environment(&self, wasm: &WasmConfig) -> EnvironmentVariables {
        let mut environment = EnvironmentVariables::default();
        for variable in wasm.vm_config.iter().flat_map(|vm| &vm.env) {
            match variable.value_from() {
                EnvValueSource::Host => environment.host_env_keys.push(variable.name.clone()),
                EnvValueSource::Inline => {
                    environment.key_values.insert(variable.name.clone(), variable.value.clone());
                }
            }
        }
        let mut set = |key: &str, value: String| environment.key_values.insert(key.to_owned(), value);
        match wasm.image_pull_policy() {
            PullPolicy::UnspecifiedPolicy => {}
            policy => {
                set(PULL_POLICY, policy.as_str_name().to_owned());
            }
        }
        if !wasm.image_pull_secret.is_empty() {
            // Credentials are for proxies that proved who they are; a class of proxies cannot.
            set(PULL_SECRET, String::new());
        }
        set(VERSION, self.0.fingerprint().short());
        environment
    }
}

fn code(wasm: &WasmConfig) -> AsyncDataSource {
    let specifier = match wasm.url.strip_prefix(LOCAL) {
        Some(path) => async_data_source::Specifier::Local(DataSource {
            specifier: Some(data_source::Specifier::Filename(path.to_owned())),
            ..Default::default()
        }),
        None => async_data_source::Specifier::Remote(RemoteDataSource {
            http_uri: Some(HttpUri {
                uri: if wasm.url.contains("://") { wasm.url.clone() } else { format!("oci://{}", wasm.url) },
                timeout: Some(seconds(FETCH_TIMEOUT)),
                // Never asked: the agent fetches the module.
                http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster("_".to_owned())),
            }),
            sha256: wasm.sha256.clone(),
            ..Default::default()
        }),
    };
    AsyncDataSource { specifier: Some(specifier) }
}
