//! The certificates of the ports, as configured.

use std::sync::Arc;
use std::time::SystemTime;

use super::acceptor::Acceptor;
use super::certificates::Certificates;
use super::keeper::Keeper;
use super::load::LoadError;
use super::metrics::Handshakes;
use crate::config::{InternalTls, TlsOptions};

/// The certificates of the ports.
#[derive(Clone, Debug)]
pub struct PortCertificates {
    clients: Option<Certificates>,
    /// Of the internal port, if it has its own.
    internal: Option<Certificates>,
    options: Arc<TlsOptions>,
}

/// What makes TLS connections; `None` where plain HTTP is spoken.
#[derive(Debug)]
pub struct Acceptors {
    /// On the clients' port.
    pub public: Option<Acceptor>,
    /// On the internal port.
    pub internal: Option<Acceptor>,
}

impl PortCertificates {
    /// Reads or makes what is configured.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub fn open(options: &TlsOptions) -> Result<Self, LoadError> {
        let own = match &options.internal {
            InternalTls::Own(source) => Some(source),
            InternalTls::Off | InternalTls::Shared => None,
        };
        Ok(Self {
            clients: options.certificate.as_ref().map(Certificates::open).transpose()?,
            internal: own.map(Certificates::open).transpose()?,
            options: Arc::new(options.clone()),
        })
    }

    /// What clients see, over TCP and over QUIC.
    #[must_use]
    pub fn clients(&self) -> Option<&Certificates> {
        self.clients.as_ref()
    }

    /// What the TCP ports need.
    ///
    /// # Errors
    ///
    /// If the system has no randomness to give.
    pub fn acceptors(&self) -> Result<Acceptors, rustls::Error> {
        let handshakes = Handshakes::register();
        let clients = match &self.clients {
            Some(certificates) => Some(Acceptor::new(certificates, handshakes.clone())?),
            None => None,
        };
        let internal = match &self.options.internal {
            InternalTls::Off => None,
            InternalTls::Shared => clients.clone(),
            InternalTls::Own(_) => match &self.internal {
                Some(certificates) => Some(Acceptor::new(certificates, handshakes)?),
                None => None,
            },
        };
        Ok(Acceptors {
            public: clients.filter(|_| self.options.public),
            internal,
        })
    }

    /// What keeps them up to date.
    #[must_use]
    pub fn keeper(&self) -> Keeper {
        let clients = self.clients.as_ref().map(|it| ("public", it));
        let internal = self.internal.as_ref().map(|it| ("internal", it));
        let certificates = clients.into_iter().chain(internal);
        Keeper::new(
            certificates.map(|(port, it)| (port, it.clone())),
            SystemTime::now(),
        )
    }
}
