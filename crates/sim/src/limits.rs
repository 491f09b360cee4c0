//! The one table of limits. *Invariant*: every queue, log, loop, recursion and input of the core has a line here.

/// Upper bounds; names end with the unit and `max`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Trace records kept.
    pub trace_records_max: usize,
    /// A request's body in bytes, as the API server's own limit.
    pub request_bytes_max: usize,
    /// An object in bytes as etcd's request limit has it.
    pub object_bytes_max: usize,
    /// Nesting of JSON and YAML.
    pub nesting_max: usize,
    /// Values that a YAML document's aliases may expand to.
    pub yaml_values_max: usize,
    /// Bytes of a YAML stream.
    pub yaml_bytes_max: usize,
    /// Revisions kept for watches before they are compacted.
    pub watch_window_revisions_max: usize,
    /// Bytes of one container's log, kept from the end.
    pub log_bytes_max: usize,
    /// Processes on one host.
    pub processes_max: usize,
    /// Open file descriptors of one process.
    pub files_max: usize,
    /// Bytes in a pipe, as Linux has it.
    pub pipe_bytes_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: usize,
    /// Steps a process may run before others get their turn.
    pub steps_per_turn_max: usize,
    /// Commands and expansions that one shell line may nest.
    pub shell_nesting_max: usize,
    /// Bytes of one shell line or script.
    pub shell_bytes_max: usize,
    /// Hops a packet may make, over all namespaces, before it is dropped.
    pub packet_hops_max: usize,
    /// Connection-tracking entries of one namespace.
    pub conntrack_entries_max: usize,
    /// Packet traces kept.
    pub packet_traces_max: usize,
    /// Packets waiting for a neighbour's answer, as Linux has it.
    pub neighbour_queue_max: usize,
    /// Network namespaces of all hosts together.
    pub net_namespaces_max: usize,
    /// Network devices of one namespace.
    pub net_devices_max: usize,
    /// Addresses or routes of one namespace.
    pub net_routes_max: usize,
    /// Neighbour entries of one namespace, as Linux's `gc_thresh3`.
    pub neighbours_max: usize,
    /// Forwarding entries of one bridge or tunnel.
    pub bridge_entries_max: usize,
    /// Rules, and chains, of one netfilter table.
    pub netfilter_rules_max: usize,
    /// Members of one IP set.
    pub ipset_entries_max: usize,
    /// Lines of kernel log that packets wrote and nobody has read.
    pub kernel_log_lines_max: usize,
    /// Sockets of one namespace.
    pub sockets_max: usize,
    /// Frames kept by a capture.
    pub capture_frames_max: usize,
    /// Bytes waiting in a socket.
    pub socket_bytes_max: usize,
    /// Events that one call of the event loop may run.
    pub loop_events_max: usize,
    /// Checkpoints kept for going back.
    pub checkpoints_max: usize,
    /// Bytes of a link's payload before inflation.
    pub link_bytes_max: usize,
    /// Bytes of a link's payload after inflation.
    pub link_inflated_bytes_max: usize,
    /// Commands in a scenario's log.
    pub commands_max: usize,
}

impl Limits {
    /// The limits in force.
    pub const TABLE: Limits = Limits {
        trace_records_max: 20_000,
        request_bytes_max: 3 * 1024 * 1024,
        object_bytes_max: 1_572_864,
        nesting_max: 128,
        yaml_values_max: 200_000,
        yaml_bytes_max: 4 * 1024 * 1024,
        watch_window_revisions_max: 20_000,
        log_bytes_max: 256 * 1024,
        processes_max: 4_096,
        files_max: 1_024,
        pipe_bytes_max: 65_536,
        file_bytes_max: 8 * 1024 * 1024,
        steps_per_turn_max: 2_000,
        shell_nesting_max: 64,
        shell_bytes_max: 256 * 1024,
        packet_hops_max: 512,
        conntrack_entries_max: 65_536,
        packet_traces_max: 256,
        neighbour_queue_max: 101,
        net_namespaces_max: 262_144,
        net_devices_max: 4_096,
        net_routes_max: 65_536,
        neighbours_max: 16_384,
        bridge_entries_max: 65_536,
        netfilter_rules_max: 262_144,
        ipset_entries_max: 65_536,
        kernel_log_lines_max: 1_000,
        sockets_max: 65_536,
        capture_frames_max: 10_000,
        socket_bytes_max: 212_992,
        loop_events_max: 5_000_000,
        checkpoints_max: 512,
        link_bytes_max: 64 * 1024,
        link_inflated_bytes_max: 1024 * 1024,
        commands_max: 10_000,
    };
}
