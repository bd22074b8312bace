//! Gateways: which servers a router serves, merged by port (spec 4.3).
