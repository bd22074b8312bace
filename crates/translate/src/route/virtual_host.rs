//! One virtual host: the piece of a route configuration that is rendered and cached by itself.

use std::sync::Arc;

use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::route::virtual_host::TlsRequirementType;

use super::catch_all::CatchAll;
use super::default_route::{self, DefaultRoute};
use super::selection::SelectedRoutes;
use super::stateful_session::{self, Session};
use super::{http_route, matches};
use crate::{Input, Rendered, fit};

/// Everything a virtual host is made of.
#[derive(Clone, Debug, Hash)]
pub(super) struct VirtualHostInput {
    /// `<host>:<port>`.
    pub name: String,
    /// No two virtual hosts of a route configuration share one.
    pub domains: Vec<String>,
    /// What it does.
    pub routes: Routes,
    /// Requests say which attempt they are.
    pub attempt_count: bool,
    /// Plain text requests are redirected to HTTPS.
    pub require_tls: bool,
    /// Sticky sessions of its service.
    pub session: Option<Session>,
}

/// The routes of a virtual host.
#[derive(Clone, Debug, Hash)]
pub(super) enum Routes {
    /// That of a service without VirtualService.
    Default(DefaultRoute),
    /// Those of VirtualServices. Of several, routes that take everything come last.
    VirtualServices(Vec<Arc<SelectedRoutes>>),
    /// That for unknown hosts.
    CatchAll(CatchAll),
}

impl Input for VirtualHostInput {
    type Output = envoy::route::VirtualHost;

    const TAG: &'static str = "VirtualHost";

    fn render(&self) -> Rendered<envoy::route::VirtualHost> {
        let mut issues = Vec::new();
        let routes = match &self.routes {
            Routes::Default(input) => vec![default_route::outbound(input)],
            Routes::VirtualServices(list) => {
                let mut all: Vec<_> =
                    list.iter().flat_map(|input| http_route::routes(input, &mut issues)).collect();
                if list.len() > 1 {
                    all.sort_by_key(|route| route.r#match.as_ref().is_some_and(matches::is_catch_all));
                }
                all
            }
            Routes::CatchAll(catch_all) => vec![catch_all.route()],
        };
        let tls = if self.require_tls { TlsRequirementType::All } else { TlsRequirementType::None };
        let message = envoy::route::VirtualHost {
            name: self.name.clone(),
            domains: self.domains.clone(),
            routes,
            require_tls: tls as i32,
            include_request_attempt_count: self.attempt_count,
            typed_per_filter_config: self
                .session
                .iter()
                .map(|session| (stateful_session::FILTER.to_owned(), stateful_session::per_route(session)))
                .collect(),
            ..Default::default()
        };
        Rendered { message, references: Vec::new(), issues }
    }

    fn mend(&self, message: &mut Self::Output, broken: &Violation) -> bool {
        fit::leave_out(&mut message.routes, broken, "routes")
    }

    fn owner(&self, message: &Self::Output, broken: &Violation) -> Option<(String, String)> {
        let route = message.routes.get(fit::element(broken, "routes")?)?;
        match &self.routes {
            Routes::VirtualServices(list) => http_route::origin(list, route),
            Routes::Default(_) | Routes::CatchAll(_) => None,
        }
    }
}
