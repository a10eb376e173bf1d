//! Writes v3 messages: scoped PDU, encryption, security parameters, header, signature.
//!
//! Does: all of it in one buffer, from the back, encrypting and signing in place.
//! Does not: choose boots, time, salt or keys.
//! In: an [`Envelope`] and varbinds already written. Out: the message, or `BufferFull`.

use crate::ber::{BackWriter, BufferFull, tag};
use crate::usm::SecurityLevel;
use crate::usm::{DES_BLOCK_OCTETS, LocalUser, PrivacyProtocol, SIGNATURE_OCTETS_MAX, Salt};

use super::layout::{FLAG_AUTH, FLAG_PRIV, FLAG_REPORTABLE, SECURITY_MODEL_USM, VERSION_3};

/// What we take: the largest UDP message.
const OUR_MAX_SIZE: i32 = 65_507;

/// Everything around a PDU.
pub(super) struct Envelope<'a> {
    pub(super) id: i32,
    pub(super) level: SecurityLevel,
    pub(super) is_reportable: bool,
    pub(super) engine_id: &'a [u8],
    pub(super) boots: u32,
    pub(super) time: u32,
    pub(super) user: &'a [u8],
    pub(super) context_engine_id: &'a [u8],
    pub(super) context_name: &'a [u8],
    /// Number of this message among those encrypted with the key: never twice the same.
    pub(super) salt_counter: u64,
}

impl Envelope<'_> {
    /// Makes a message of the PDU that is all `writer` holds. Keys that `level` needs must be in
    /// `keys`; the level falls to what they allow.
    pub(super) fn seal<'b>(
        &self,
        mut writer: BackWriter<'b>,
        keys: &LocalUser,
    ) -> Result<&'b mut [u8], BufferFull> {
        let auth = keys
            .auth
            .as_ref()
            .filter(|_| self.level > SecurityLevel::NoAuthNoPriv);
        let privacy = keys
            .privacy
            .as_ref()
            .filter(|_| self.level == SecurityLevel::AuthPriv);
        writer.element(tag::OCTET_STRING, self.context_name);
        writer.element(tag::OCTET_STRING, self.context_engine_id);
        writer.wrap(tag::SEQUENCE, 0);
        let salt_octets = privacy.map(|key| key.salt_octets(self.boots, self.salt_counter));
        if let (Some(key), Some(octets)) = (privacy, salt_octets) {
            if key.protocol() == PrivacyProtocol::Des {
                writer.pad_end_to_multiple(DES_BLOCK_OCTETS);
            }
            let salt = Salt {
                boots: self.boots,
                time: self.time,
                octets,
            };
            key.encrypt(writer.written_mut(), &salt);
            writer.wrap(tag::OCTET_STRING, 0);
        }
        let zeros = [0; SIGNATURE_OCTETS_MAX];
        let signature_octets = auth.map_or(0, |key| key.protocol().signature_octets());
        let mark = writer.written();
        writer.element(
            tag::OCTET_STRING,
            salt_octets.as_ref().map_or(&[], |salt| &salt[..]),
        );
        writer.element(tag::OCTET_STRING, &zeros[..signature_octets]);
        // Tag and length of the signature are two octets: 48 is the longest.
        let signature_from_end = writer.written().saturating_sub(2);
        writer.element(tag::OCTET_STRING, self.user);
        writer.unsigned(tag::INTEGER, self.time.into());
        writer.unsigned(tag::INTEGER, self.boots.into());
        writer.element(tag::OCTET_STRING, self.engine_id);
        writer.wrap(tag::SEQUENCE, mark);
        writer.wrap(tag::OCTET_STRING, mark);
        self.write_header(&mut writer, auth.is_some(), privacy.is_some());
        let message = writer.finish()?;
        if let Some(key) = auth {
            let start = message.len() - signature_from_end;
            key.sign(message, start..start + signature_octets);
        }
        Ok(message)
    }

    fn write_header(&self, writer: &mut BackWriter<'_>, is_signed: bool, is_encrypted: bool) {
        let flags = [
            (is_signed, FLAG_AUTH),
            (is_encrypted, FLAG_PRIV),
            (self.is_reportable, FLAG_REPORTABLE),
        ];
        let flags = flags
            .iter()
            .filter(|(is_set, _)| *is_set)
            .fold(0, |all, (_, flag)| all | flag);
        let mark = writer.written();
        writer.integer(SECURITY_MODEL_USM);
        writer.element(tag::OCTET_STRING, &[flags]);
        writer.integer(OUR_MAX_SIZE);
        writer.integer(self.id);
        writer.wrap(tag::SEQUENCE, mark);
        writer.integer(VERSION_3);
        writer.wrap(tag::SEQUENCE, 0);
    }
}
