//! From a body to an object of the resource's kind, with what strict decoding has to say.

use crate::request::FieldValidation;
use crate::server::Cx;
use crate::{ApiServer, Op, Resource, Status};
use api::Value;
use api::decode::decode;

impl ApiServer {
    /// Checks a body's type, decodes it against the schema and reports unknown fields as asked.
    pub(crate) fn decode_object(&self, cx: &mut Cx, r: &Resource, op: &Op) -> Result<Value, Status> {
        let mut v = op.body.clone();
        let handled = |text: String| {
            let (version, kind) = (&r.version, &r.kind);
            Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {text}"
            ))
        };
        let (version, kind) = (v.api_version().to_owned(), v.kind().to_owned());
        if kind.is_empty() {
            v.insert("kind", &r.kind);
        }
        if version.is_empty() {
            v.insert("apiVersion", r.api_version());
        }
        let mut expected_version = r.api_version();
        if r.old.is_some() && version == self.registry.get(r.storage).api_version() {
            // Read in today's version and sent back.
            expected_version = version.as_str().into();
        }
        if (!version.is_empty() && version != expected_version) || (!kind.is_empty() && kind != r.kind) {
            return Err(self.wrong_type(r, &version, &kind));
        }
        self.modernise(cx, r, &mut v);
        let unknown = match r.ty {
            Some(ty) => {
                let d = decode(ty, &v).map_err(handled)?;
                v = d.value;
                d.unknown
            }
            None => api::structural::prune(crate::custom::schema_of(r), &mut v),
        };
        self.report_unknown(cx, r, op, unknown)?;
        Ok(v)
    }

    fn wrong_type(&self, r: &Resource, version: &str, kind: &str) -> Status {
        let own = r.api_version();
        let version = if version.is_empty() { own.as_str() } else { version };
        let kind = if kind.is_empty() { r.kind.as_str() } else { kind };
        let why = self.why_wrong_type(r, version, kind);
        let short = version.rsplit('/').next().unwrap_or(version);
        Status::bad_request(format!("{kind} in version \"{short}\" cannot be handled as a {}: {why}", r.kind))
    }

    /// Why an object of that version and kind is none of the resource's.
    pub(super) fn why_wrong_type(&self, r: &Resource, version: &str, kind: &str) -> String {
        if self.registry.by_kind(version, kind).is_some() {
            let package = if r.group.is_empty() { "core" } else { r.group.split('.').next().unwrap_or("") };
            let short = version.rsplit('/').next().unwrap_or(version);
            return format!("converting ({short}.{kind}) to ({package}.{}): unknown conversion", r.kind);
        }
        format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \
             \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
        )
    }

    pub(super) fn report_unknown(
        &self,
        cx: &mut Cx,
        r: &Resource,
        op: &Op,
        unknown: Vec<String>,
    ) -> Result<(), Status> {
        let all = op.options.findings.with_unknown(&unknown);
        if all.is_empty() {
            return Ok(());
        }
        match op.options.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => cx.warnings.extend(all),
            FieldValidation::Strict => {
                return Err(Status::bad_request(format!(
                    "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                    r.kind,
                    r.version,
                    r.kind,
                    all.join(", ")
                )));
            }
        }
        Ok(())
    }
}
