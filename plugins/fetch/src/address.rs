//! Which addresses may be asked: those of the public internet, and networks that the operator grants.
//!
//! What decides is the address that is connected to, after a name was looked up: a name may lead anywhere.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that are not the public internet (IANA's special-purpose registries), and what is never a single host.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Whether an address is one of the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            !NOT_PUBLIC_V4.iter().any(|(network, length)| (bits ^ u32::from(*network)) >> (32 - length) == 0)
        }
        IpAddr::V6(address) => match inner(address) {
            Some(inner) => is_public(IpAddr::V4(inner)),
            // Of IPv6, 2000::/3 is handed out; in it, these are not for hosts.
            None => {
                let parts = address.segments();
                let is_handed_out = parts[0] & 0xe000 == 0x2000;
                let is_reserved = parts[0] == 0x2001 && parts[1] < 0x0200;
                let is_documentation = (parts[0] == 0x2001 && parts[1] == 0x0db8) || parts[0] & 0xfff0 == 0x3ff0;
                is_handed_out && !is_reserved && !is_documentation
            }
        },
    }
}

/// The IPv4 address that an IPv6 address leads to, if it does.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let of = |high: u16, low: u16| {
        let ([first, second], [third, fourth]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(first, second, third, fourth)
    };
    match parts {
        // Mapped; translated, with the prefix that everybody knows; 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(of(high, low))
        }

        _ => None,
    }
}

/// Whether an address may be asked.
pub(crate) fn is_allowed(address: IpAddr, granted: &[IpNet]) -> bool {
    let plain = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    is_public(address) || granted.iter().any(|network| network.contains(&plain) || network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::{is_allowed, is_public};

    #[test]
    fn only_the_public_internet_is_public() {
        let is = |address: &str| is_public(address.parse().unwrap());
        for public in
            ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.0.1", "172.32.0.1", "192.167.1.1", "223.255.255.255"]
        {
            assert!(is(public), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is(private), "{private}");
        }
        for public in ["2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"] {
            assert!(is(public), "{public}");
        }
        for private in [
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::7f00:1",
            "64:ff9b:1::1",
            "5f00::1",
        ] {
            assert!(!is(private), "{private}");
        }
    }

    #[test]
    fn what_is_granted_is_allowed_and_nothing_beside_it() {
        let granted = ["127.0.0.1/32".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let is = |address: &str| is_allowed(address.parse().unwrap(), &granted);
        assert!(is("127.0.0.1") && is("::ffff:127.0.0.1") && is("fd12::1") && is("1.1.1.1"));
        assert!(!is("127.0.0.2") && !is("fc00::1") && !is("::1"));
    }
}
