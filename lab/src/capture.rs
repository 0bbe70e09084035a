//! tcpdump: an independent decoder's opinion of what was on the wire.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{Node, Process, wait::becomes_true};

/// Filter for VRRP advertisements of either family.
pub const VRRP: &str = "(ip proto 112 or ip6 proto 112)";

/// Filter for the advertisements with priority 0 that a master sends when it stops.
pub const RELEASES: &str = "((ip proto 112 and ip[22] == 0) or (ip6 proto 112 and ip6[42] == 0))";

/// Filter for unasked announcements: gratuitous ARP and neighbour advertisements to all nodes.
pub const GRATUITOUS: &str = "((arp and arp[14:4] == arp[24:4]) or \
     (icmp6 and ip6[40] == 136 and ether dst 33:33:00:00:00:01))";

/// Filter for what tells neighbours where an address is: ARP and neighbour advertisements.
pub const ANNOUNCEMENTS: &str = "(arp or (icmp6 and ip6[40] == 136))";

/// What tcpdump writes beside a field that is not as it should be.
const COMPLAINTS: [&str; 9] = [
    "bad ",      // a checksum, a length
    "(ttl ",     // an advertisement whose TTL or hop limit is not 255
    "[|",        // cut short
    "[type#",    // an advertisement type it does not know
    "incorrect", // a checksum
    "invalid",   // a field
    "wrong",     // a checksum
    "malformed", // anything
    "unknown",   // an option
];

/// One packet as tcpdump tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// When it was seen, since the Unix epoch.
    pub at: Duration,
    /// Link header, addresses and every field, in one line (`tcpdump -e -vvv`).
    pub text: String,
}

impl Packet {
    /// Whether tcpdump found fault with it.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        COMPLAINTS
            .iter()
            .any(|complaint| self.text.contains(complaint))
    }
}

/// tcpdump listening on an interface.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

impl Capture {
    /// Starts to listen on `interface` of a node (of a [`Lan`](crate::Lan): `br0`), for packets
    /// that match a pcap filter. Everything sent after its return is caught.
    ///
    /// # Panics
    ///
    /// When tcpdump does not listen within ten seconds.
    #[must_use]
    #[track_caller]
    pub fn start(node: &Node, interface: &str, filter: &str) -> Self {
        let name = format!("capture-{interface}");
        let file = node.path(&format!("{name}.pcap"));
        let mut command = Command::new("tcpdump");
        // Packets must be in the file while we read it; and it stays root, to write where we say.
        // The kernel's buffer has room for eight packets of the default length, which a loaded
        // machine fills; of this one for hundreds.
        command.args([
            "-i",
            interface,
            "--immediate-mode",
            "-s",
            "2048",
            "-U",
            "-Z",
            "root",
            "-w",
        ]);
        command.arg(&file).arg(filter);
        let process = node.spawn(&name, command);
        let listens = becomes_true(Duration::from_secs(10), || {
            process.log().contains("listening on")
        });
        assert!(listens, "tcpdump does not listen: {}", process.log());
        Self { process, file }
    }

    /// The packets so far that match a filter, in the order of their coming.
    ///
    /// # Panics
    ///
    /// When tcpdump does not know the filter.
    #[must_use]
    #[track_caller]
    pub fn packets(&self, filter: &str) -> Vec<Packet> {
        decode(&self.file, filter)
    }

    /// Ends the capture with nothing lost.
    ///
    /// # Panics
    ///
    /// When tcpdump does not end within ten seconds, or says that the kernel dropped packets.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.signal(Signal::SIGINT);
        self.process.wait(Duration::from_secs(10));
        let log = self.process.log();
        assert!(
            log.contains("\n0 packets dropped by kernel"),
            "packets were lost: {log}"
        );
    }

    /// Checks that tcpdump finds no fault with any packet that matches `filter`, and that there are
    /// some.
    ///
    /// # Panics
    ///
    /// When it finds fault with one, or none matches.
    #[track_caller]
    pub fn assert_flawless(&self, filter: &str) {
        let packets = self.packets(filter);
        assert!(!packets.is_empty(), "no packet matches {filter}");
        let faulty: Vec<_> = packets.iter().filter(|packet| packet.is_faulty()).collect();
        assert!(faulty.is_empty(), "tcpdump finds fault with: {faulty:#?}");
    }
}

/// What tcpdump reads in a pcap file. A last packet that is not yet complete is left out.
#[track_caller]
fn decode(file: &Path, filter: &str) -> Vec<Packet> {
    let output = Command::new("tcpdump")
        .args(["-nn", "-tt", "-e", "-vvv", "-r"])
        .arg(file)
        .arg(filter)
        .output()
        .unwrap_or_else(|error| panic!("tcpdump: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || errors.contains("truncated dump file"),
        "tcpdump -r {} '{filter}': {errors}",
        file.display()
    );
    let mut packets: Vec<Packet> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // A packet begins at the left margin with its time; what follows it is indented.
        if let Some((at, text)) = line.split_once(' ').filter(|(at, _)| !at.trim().is_empty()) {
            let at = at.parse().map(Duration::from_secs_f64);
            let at = at.unwrap_or_else(|error| panic!("no time in '{line}': {error}"));
            packets.push(Packet {
                at,
                text: text.to_owned(),
            });
        } else if let Some(packet) = packets.last_mut() {
            packet.text.push(' ');
            packet.text.push_str(line.trim());
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    /// A v3 advertisement of keepalived's, from `vrrp/tests/golden/v3-multicast-ipv4.hex`.
    const GOLDEN: &str = "01005e000012020000000001080045c0002000010000ff701899c0000201e0000012\
                          3133c801000aa1cbc0000264";

    #[test]
    #[cfg_attr(not(feature = "lab"), ignore = "lab: needs tcpdump")]
    fn tcpdump_reads_a_sound_advertisement_without_complaint() {
        let packets = decode_frames(&[frame()]);

        assert_eq!(packets.len(), 1);
        assert!(
            packets[0]
                .text
                .contains("VRRPv3, Advertisement, vrid 51, prio 200")
        );
        assert!(!packets[0].is_faulty(), "{packets:?}");
    }

    #[test]
    #[cfg_attr(not(feature = "lab"), ignore = "lab: needs tcpdump")]
    fn a_fault_in_checksum_ttl_or_length_is_seen() {
        let mut checksum = frame();
        checksum[40] ^= 1;
        let mut ttl = frame();
        ttl[22] = 64;
        let mut cut = frame();
        cut.truncate(44);

        for faulty in [checksum, ttl, cut] {
            let packets = decode_frames(&[frame(), faulty]);

            assert_eq!(packets.len(), 2);
            assert!(!packets[0].is_faulty(), "{packets:?}");
            assert!(packets[1].is_faulty(), "{packets:?}");
        }
    }

    #[test]
    #[cfg_attr(not(feature = "lab"), ignore = "lab: needs tcpdump")]
    #[should_panic(expected = "syntax error")]
    fn a_filter_that_tcpdump_does_not_know_is_no_empty_result() {
        drop(decode(&pcap_file(&[]).path().join("pcap"), "nonsense ("));
    }

    fn frame() -> Vec<u8> {
        let hex = GOLDEN.as_bytes().chunks(2);
        hex.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn decode_frames(frames: &[Vec<u8>]) -> Vec<Packet> {
        decode(&pcap_file(frames).path().join("pcap"), "ip")
    }

    /// The classic format: a header that says "Ethernet", then each frame behind its time and
    /// length.
    fn pcap_file(frames: &[Vec<u8>]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let mut file = fs::File::create(directory.path().join("pcap")).unwrap();
        let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1];
        file.write_all(&header.map(u32::to_le_bytes).concat())
            .unwrap();
        for frame in frames {
            let length = u32::try_from(frame.len()).unwrap();
            let header: [u32; 4] = [1_700_000_000, 0, length, length];
            file.write_all(&header.map(u32::to_le_bytes).concat())
                .unwrap();
            file.write_all(frame).unwrap();
        }
        directory
    }
}
