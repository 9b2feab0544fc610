//! TLS of the fleet's servers: an authority of its own, whose certificate hosts get with their keys.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// All in PEM.
pub struct Made {
    pub ca: String,
    pub ca_key: String,
    pub chain: String,
    pub key: String,
}

/// For servers of these names or addresses.
pub fn make<'a>(names: impl Iterator<Item = &'a str>) -> anyhow::Result<Made> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "SIPprot fleet");
    let ca_key = KeyPair::generate()?;
    let ca_key_pem = ca_key.serialize_pem();
    let issuer = CertifiedIssuer::self_signed(authority, ca_key)?;
    let mut server = CertificateParams::new(names).context("a server's name")?;
    server.distinguished_name.push(DnType::CommonName, "SIPprot fleet server");
    // In a cluster each server is the others' client.
    server.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let chain = server.signed_by(&key, &issuer)?;
    Ok(Made {
        ca: issuer.as_ref().pem(),
        ca_key: ca_key_pem,
        chain: chain.pem(),
        key: key.serialize_pem(),
    })
}
