//! What every object has: names, labels, owners and the like, read from a [`Value`]. These are the hottest reads of
//! the cluster, so they look for interned keys.

use crate::Value;
use crate::key::k;

impl Value {
    /// `metadata.name`
    pub fn name(&self) -> &str {
        self.field(&k::METADATA).field(&k::NAME).text()
    }

    /// `metadata.namespace`, "" for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.field(&k::METADATA).field(&k::NAMESPACE).text()
    }

    /// `metadata.uid`
    pub fn uid(&self) -> &str {
        self.field(&k::METADATA).field(&k::UID).text()
    }

    /// `kind`
    pub fn kind(&self) -> &str {
        self.field(&k::KIND).text()
    }

    /// `apiVersion`
    pub fn api_version(&self) -> &str {
        self.field(&k::API_VERSION).text()
    }

    /// `metadata.labels`
    pub fn labels(&self) -> &Value {
        self.field(&k::METADATA).field(&k::LABELS)
    }

    /// `metadata.annotations`
    pub fn annotations(&self) -> &Value {
        self.field(&k::METADATA).field(&k::ANNOTATIONS)
    }

    /// `metadata.resourceVersion` as the store's revision, 0 where there is none.
    pub fn revision(&self) -> u64 {
        self.field(&k::METADATA).field(&k::RESOURCE_VERSION).text().parse().unwrap_or(0)
    }

    /// `metadata.generation`, 0 where there is none.
    pub fn generation(&self) -> i64 {
        self.field(&k::METADATA).field(&k::GENERATION).int()
    }

    /// Whether the object is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.field(&k::METADATA).field(&k::DELETION_TIMESTAMP).is_some()
    }

    /// The owner reference whose `controller` is true, or `null`.
    pub fn controller_ref(&self) -> &Value {
        let owners = self.field(&k::METADATA).field(&k::OWNER_REFERENCES);
        owners.items().find(|o| o.field(&k::CONTROLLER).is_true()).unwrap_or(Value::null())
    }

    /// The entry of `status.conditions` with that type, or `null`.
    pub fn condition(&self, kind: &str) -> &Value {
        let conditions = self.field(&k::STATUS).field(&k::CONDITIONS);
        conditions.items().find(|c| c.field(&k::TYPE).text() == kind).unwrap_or(Value::null())
    }
}
