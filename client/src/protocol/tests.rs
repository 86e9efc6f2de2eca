mod connection;
mod model;
mod requests;
mod rig;
mod server_side;
mod subscriptions;
mod tokens;
