//! Tables and chains of one namespace, and what the kernel checks when they change.
//!
//! *Invariant*: jumps point to chains of the same table, no path from a builtin chain is deeper than
//! [`JUMPS_MAX`], and so no packet can loop.

use super::parse::{Parsed, Problem};
use super::rule::*;
use sim::Limits;
use sim::persistent::{OrdMap, Vector};
use smol_str::SmolStr;
use std::sync::Arc;

/// Nested jumps, as nf_tables limits them.
pub(crate) const JUMPS_MAX: usize = 16;

/// A rule's counters and what its stateful matches remember.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cell {
    pub counters: Counters,
    /// Of `statistic nth`: packets since the last hit. Of `limit`: when the bucket would be full, in ns.
    pub state: u64,
}

/// A chain.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub name: SmolStr,
    /// Its hook, if it is a builtin chain.
    pub hook: Option<Hook>,
    /// Of builtin chains: whether the policy is DROP.
    pub drop: bool,
    /// Packets that meet the policy are counted only once somebody has set it, as iptables over nf_tables does.
    pub counted: bool,
    pub counters: Counters,
    pub rules: Arc<Vec<Arc<Rule>>>,
    pub cells: Vector<Cell>,
    /// Rules that jump here.
    pub references: u32,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub name: TableName,
    ids: OrdMap<SmolStr, ChainId>,
    chains: OrdMap<ChainId, Arc<Chain>>,
    next: u32,
    builtin: [Option<ChainId>; 5],
    rules: usize,
}

const NO_CHAIN: Problem = Problem::Errno("No chain/target/match by that name.");

impl Table {
    /// The table with its builtin chains, all empty and accepting.
    pub fn new(name: TableName) -> Table {
        let mut t =
            Table { name, ids: OrdMap::new(), chains: OrdMap::new(), next: 0, builtin: [None; 5], rules: 0 };
        for &h in name.hooks() {
            let id = t.insert(h.name().into(), Some(h));
            t.builtin[h as usize] = Some(id);
        }
        t
    }

    fn insert(&mut self, name: SmolStr, hook: Option<Hook>) -> ChainId {
        let id = ChainId(self.next);
        self.next += 1;
        self.ids.insert(name.clone(), id);
        let chain = Chain {
            name,
            hook,
            drop: false,
            counted: false,
            counters: Counters::default(),
            rules: Arc::default(),
            cells: Vector::new(),
            references: 0,
        };
        self.chains.insert(id, Arc::new(chain));
        id
    }

    /// The builtin chain of a hook.
    pub fn builtin(&self, h: Hook) -> Option<ChainId> {
        self.builtin[h as usize]
    }

    /// The chain of that name.
    pub fn id(&self, name: &str) -> Option<ChainId> {
        self.ids.get(name).copied()
    }

    /// A chain.
    pub fn chain(&self, id: ChainId) -> Option<&Arc<Chain>> {
        self.chains.get(&id)
    }

    /// A chain to be changed.
    pub fn chain_mut(&mut self, id: ChainId) -> Option<&mut Chain> {
        self.chains.get_mut(&id).map(Arc::make_mut)
    }

    /// A chain by its name, or iptables' word for its absence.
    pub fn find(&self, name: &str) -> Parsed<ChainId> {
        self.id(name).ok_or(NO_CHAIN)
    }

    /// Chains as iptables lists them: builtin ones in hook order, then the others by name.
    pub fn listed(&self) -> Vec<ChainId> {
        let mut v: Vec<ChainId> = self.name.hooks().iter().filter_map(|h| self.builtin(*h)).collect();
        let user = |id: &ChainId| self.chain(*id).is_some_and(|c| c.hook.is_none());
        v.extend(self.ids.values().copied().filter(user));
        v
    }

    /// Whether a packet at that hook can be affected or counted at all.
    pub fn idle(&self, h: Hook) -> bool {
        self.builtin(h)
            .and_then(|id| self.chain(id))
            .is_none_or(|c| c.rules.is_empty() && !c.drop && !c.counted)
    }

    /// Whether any rule needs connection tracking.
    pub fn needs_conntrack(&self) -> bool {
        self.chains.values().any(|c| c.rules.iter().any(|r| r.needs_conntrack()))
    }

    /// Adds a user chain.
    pub fn add_chain(&mut self, name: &str) -> Parsed<ChainId> {
        if self.id(name).is_some() {
            return Err(Problem::Errno("Chain already exists."));
        }
        if self.chains.len() >= Limits::TABLE.netfilter_rules_max {
            return Err(Problem::Kernel("CHAIN_ADD", "Cannot allocate memory", format!("chain {name}")));
        }
        Ok(self.insert(name.into(), None))
    }

    /// Removes a user chain that nothing refers to.
    pub fn remove_chain(&mut self, name: &str) -> Parsed<()> {
        let id = self.find(name)?;
        let Some(c) = self.chain(id) else { return Err(NO_CHAIN) };
        if c.hook.is_some() {
            return Err(NO_CHAIN);
        }
        if c.references > 0 {
            return Err(Problem::Kernel("CHAIN_DEL", "Device or resource busy", format!("chain {name}")));
        }
        self.flush(id);
        self.chains.remove(&id);
        self.ids.remove(name);
        Ok(())
    }

    /// Renames a user chain.
    pub fn rename_chain(&mut self, old: &str, new: &str) -> Parsed<()> {
        let id = self.find(old)?;
        if self.id(new).is_some() {
            return Err(Problem::Errno("File exists."));
        }
        self.ids.remove(old);
        self.ids.insert(new.into(), id);
        if let Some(c) = self.chain_mut(id) {
            c.name = new.into();
        }
        // Rules carry the name of the chain that they jump to, for printing.
        let callers: Vec<ChainId> = self.chains.keys().copied().collect();
        for caller in callers {
            let Some(c) = self.chain(caller) else { continue };
            if !c.rules.iter().any(|r| r.jump() == Some(id)) {
                continue;
            }
            let Some(c) = self.chain_mut(caller) else { continue };
            for r in Arc::make_mut(&mut c.rules) {
                if r.jump() == Some(id)
                    && let Target::Jump(n, _) | Target::Goto(n, _) = &mut Arc::make_mut(r).target
                {
                    *n = new.into();
                }
            }
        }
        Ok(())
    }

    fn refer(&mut self, rule: &Rule, add: bool) {
        if let Some(c) = rule.jump().and_then(|id| self.chain_mut(id)) {
            c.references = if add { c.references + 1 } else { c.references.saturating_sub(1) };
        }
    }

    /// Removes all rules of a chain.
    pub fn flush(&mut self, id: ChainId) {
        let Some(c) = self.chain_mut(id) else { return };
        let rules = core::mem::take(&mut c.rules);
        c.cells = Vector::new();
        for r in rules.iter() {
            self.refer(r, false);
        }
        self.rules = self.rules.saturating_sub(rules.len());
    }

    /// Removes all rules, then all user chains, and lets the builtin chains accept.
    pub fn clear(&mut self) {
        *self = Table::new(self.name);
    }

    /// Resolves a rule's jump and checks what the kernel checks of one rule.
    pub fn resolve(&self, rule: &mut Rule, chain: &str) -> Parsed<()> {
        if let Target::Jump(name, id) | Target::Goto(name, id) = &mut rule.target {
            let hit = self.id(name).filter(|i| self.chain(*i).is_some_and(|c| c.hook.is_none()));
            match hit {
                Some(found) => *id = found,
                None => return Err(Problem::Parameter(format!("Chain '{name}' does not exist"))),
            }
        }
        let table_ok = match rule.target {
            Target::Dnat(_) | Target::Snat(_) | Target::Masquerade(_) | Target::Redirect(_) => {
                self.name == TableName::Nat
            }
            Target::Reject(_) => self.name == TableName::Filter,
            Target::Notrack | Target::CtNotrack => self.name == TableName::Raw,
            _ => true,
        };
        let hooks = allowed_hooks(&rule.target);
        let hook_ok = self.id(chain).and_then(|id| self.chain(id)?.hook).is_none_or(|h| hooks & h.bit() != 0);
        if table_ok && hook_ok { Ok(()) } else { Err(refused("RULE_APPEND", "Invalid argument", chain)) }
    }

    /// Puts a rule at `at`, or at the end.
    pub fn add_rule(&mut self, id: ChainId, at: Option<usize>, rule: Rule, counters: Counters) -> Parsed<()> {
        if self.rules >= Limits::TABLE.netfilter_rules_max {
            let name = self.chain(id).map(|c| c.name.clone()).unwrap_or_default();
            return Err(refused("RULE_APPEND", "Cannot allocate memory", &name));
        }
        self.refer(&rule, true);
        self.rules += 1;
        let Some(c) = self.chain_mut(id) else { return Err(NO_CHAIN) };
        let at = at.unwrap_or(c.rules.len()).min(c.rules.len());
        Arc::make_mut(&mut c.rules).insert(at, Arc::new(rule));
        c.cells.insert(at, Cell { counters, state: 0 });
        Ok(())
    }

    /// Removes the rule at `at`.
    pub fn remove_rule(&mut self, id: ChainId, at: usize) {
        let Some(c) = self.chain_mut(id) else { return };
        if at >= c.rules.len() {
            return;
        }
        let rule = Arc::make_mut(&mut c.rules).remove(at);
        c.cells.remove(at);
        self.rules = self.rules.saturating_sub(1);
        self.refer(&rule, false);
    }

    /// Checks every path from the builtin chains: depth, and targets that a hook does not allow.
    pub fn validate(&self, blame: &str) -> Parsed<()> {
        for &h in self.name.hooks() {
            // The deepest level at which a chain was entered; deeper ones must be walked again.
            let mut seen: OrdMap<ChainId, usize> = OrdMap::new();
            let mut todo: Vec<(ChainId, usize)> = self.builtin(h).map(|id| (id, 1)).into_iter().collect();
            while let Some((id, depth)) = todo.pop() {
                if seen.get(&id).is_some_and(|d| *d >= depth) {
                    continue;
                }
                seen.insert(id, depth);
                let Some(c) = self.chain(id) else { continue };
                for r in c.rules.iter() {
                    if allowed_hooks(&r.target) & h.bit() == 0 {
                        return Err(refused("RULE_APPEND", "Invalid argument", blame));
                    }
                    if let Some(next) = r.jump() {
                        if depth >= JUMPS_MAX {
                            return Err(refused("RULE_APPEND", "Too many links", blame));
                        }
                        todo.push((next, depth + 1));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a new rule can make [`Table::validate`] fail.
pub(crate) fn needs_validation(rule: &Rule) -> bool {
    rule.jump().is_some() || allowed_hooks(&rule.target) != u8::MAX
}

/// The kernel's refusal of an operation on a rule in `chain`.
pub(crate) fn refused(op: &'static str, why: &'static str, chain: &str) -> Problem {
    Problem::Kernel(op, why, format!("rule in chain {chain}"))
}

fn allowed_hooks(t: &Target) -> u8 {
    use Hook::*;
    let of = |hooks: &[Hook]| hooks.iter().fold(0, |m, h| m | h.bit());
    match t {
        Target::Dnat(_) | Target::Redirect(_) => of(&[Prerouting, Output]),
        Target::Snat(_) => of(&[Postrouting, Input]),
        Target::Masquerade(_) => of(&[Postrouting]),
        Target::Reject(_) => of(&[Input, Forward, Output]),
        Target::TcpMss(None) => of(&[Forward, Output, Postrouting]),
        _ => u8::MAX,
    }
}

/// All tables of one namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Netfilter {
    tables: [Option<Arc<Table>>; 4],
    /// Whether some rule makes the kernel track connections here.
    pub conntrack: bool,
}

impl Netfilter {
    /// The table, if anything ever touched it.
    pub fn table(&self, t: TableName) -> Option<&Table> {
        self.tables[t as usize].as_deref()
    }

    /// The table to be changed by packets (counters and state only), if it is there.
    pub fn table_mut(&mut self, t: TableName) -> Option<&mut Table> {
        self.tables[t as usize].as_mut().map(Arc::make_mut)
    }

    /// Whether packets pass all tables untouched at all hooks.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Option::is_none)
    }

    /// Puts a changed table into place.
    pub fn replace(&mut self, table: Table) {
        let t = table.name as usize;
        self.tables[t] = Some(Arc::new(table));
        self.conntrack = self.tables.iter().flatten().any(|t| t.needs_conntrack());
    }
}
