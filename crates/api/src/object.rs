//! What every object has: names, labels, owners and the like, read from a [`Value`].

use crate::Value;

impl Value {
    /// `metadata.name`
    pub fn name(&self) -> &str {
        self.get("metadata").get("name").text()
    }

    /// `metadata.namespace`, "" for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.get("metadata").get("namespace").text()
    }

    /// `metadata.uid`
    pub fn uid(&self) -> &str {
        self.get("metadata").get("uid").text()
    }

    /// `kind`
    pub fn kind(&self) -> &str {
        self.get("kind").text()
    }

    /// `apiVersion`
    pub fn api_version(&self) -> &str {
        self.get("apiVersion").text()
    }

    /// `metadata.labels`
    pub fn labels(&self) -> &Value {
        self.get("metadata").get("labels")
    }

    /// `metadata.annotations`
    pub fn annotations(&self) -> &Value {
        self.get("metadata").get("annotations")
    }

    /// `metadata.resourceVersion` as the store's revision, 0 where there is none.
    pub fn revision(&self) -> u64 {
        self.get("metadata").get("resourceVersion").text().parse().unwrap_or(0)
    }

    /// `metadata.generation`, 0 where there is none.
    pub fn generation(&self) -> i64 {
        self.get("metadata").get("generation").int()
    }

    /// Whether the object is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.get("metadata").get("deletionTimestamp").is_some()
    }

    /// The owner reference whose `controller` is true, or `null`.
    pub fn controller_ref(&self) -> &Value {
        let owners = self.get("metadata").get("ownerReferences");
        owners.items().find(|o| o.get("controller").is_true()).unwrap_or(Value::null())
    }

    /// The entry of `status.conditions` with that type, or `null`.
    pub fn condition(&self, kind: &str) -> &Value {
        let conditions = self.get("status").get("conditions");
        conditions.items().find(|c| c.get("type").text() == kind).unwrap_or(Value::null())
    }
}
