//! The cryptography of JSON Web Tokens by ring, which TLS uses too.
//!
//! `jsonwebtoken` brings none unless one of its features is chosen, and both bring a second library beside ring. It panics at its first
//! use if none was installed, so everything that signs or verifies calls [`install`] first.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature as algorithms;

/// Makes ring the cryptography of `jsonwebtoken`.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that the process has another provider, which verifies as well.
        let _ = PROVIDER.install_default();
    });
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Keys are never turned into JWKs here.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Only development tokens are signed here, and they are HS256.
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != Algorithm::HS256 || key.family() != AlgorithmFamily::Hmac {
        return Err(new_error(ErrorKind::UnsupportedAlgorithm));
    }
    Ok(Box::new(Hs256Signer(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
}

struct Hs256Signer(hmac::Key);

impl Signer<Vec<u8>> for Hs256Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs256Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.key.kind(), parameters(self.algorithm)) {
            (DecodingKeyKind::SecretOrDer(secret), Some(Parameters::Hmac(algorithm))) => {
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature)
            }
            (DecodingKeyKind::SecretOrDer(key), Some(Parameters::Curve(algorithm))) => {
                algorithms::UnparsedPublicKey::new(algorithm, key).verify(message, signature)
            }
            (DecodingKeyKind::RsaModulusExponent { n, e }, Some(Parameters::Rsa(algorithm))) => {
                algorithms::RsaPublicKeyComponents { n, e }.verify(algorithm, message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

enum Parameters {
    Hmac(hmac::Algorithm),
    Curve(&'static dyn algorithms::VerificationAlgorithm),
    Rsa(&'static algorithms::RsaParameters),
}

fn parameters(algorithm: Algorithm) -> Option<Parameters> {
    Some(match algorithm {
        Algorithm::HS256 => Parameters::Hmac(hmac::HMAC_SHA256),
        Algorithm::ES256 => Parameters::Curve(&algorithms::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Parameters::Curve(&algorithms::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Parameters::Curve(&algorithms::ED25519),
        Algorithm::RS256 => Parameters::Rsa(&algorithms::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Parameters::Rsa(&algorithms::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Parameters::Rsa(&algorithms::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Parameters::Rsa(&algorithms::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Parameters::Rsa(&algorithms::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Parameters::Rsa(&algorithms::RSA_PSS_2048_8192_SHA512),
        Algorithm::HS384 | Algorithm::HS512 | _ => return None,
    })
}
