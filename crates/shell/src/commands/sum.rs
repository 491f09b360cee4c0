//! `base64`, `md5sum`, `sha1sum`, `sha256sum`, `sha512sum`, `cksum`, `hexdump`, `od`, `xxd`, `strings`

use super::cat::inputs;
use super::once::{Cx, Ran};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

/// `base64`
pub fn base64(cx: &mut Cx) -> Ran {
    let o = match cx.options("dw:i", &[("decode", 'd'), ("wrap", 'w')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let (data, failed) = inputs(cx, o.rest.get(..1).unwrap_or_default())?;
    if failed {
        return Ok(1);
    }
    if o.has('d') {
        let text: Vec<u8> = data.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        // Everything up to what can't be decoded is printed, as busybox does.
        let mut end = text.len();
        loop {
            let part = text.get(..end).unwrap_or_default();
            if let Ok(d) = STANDARD.decode(part) {
                cx.out.put(1, &d);
                break;
            }
            if end == 0 {
                break;
            }
            end = (end - 1) / 4 * 4;
        }
        if end < text.len() {
            cx.err("truncated input");
            return Ok(1);
        }
        return Ok(0);
    }
    let text = STANDARD.encode(&data);
    let width = o.value('w').and_then(|w| w.parse().ok()).unwrap_or(76usize);
    if width == 0 {
        cx.say(&text);
        return Ok(0);
    }
    let bytes = text.as_bytes();
    for l in bytes.chunks(width) {
        cx.out.put(1, l);
        cx.say("\n");
    }
    Ok(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

const SHIFTS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];

/// The constants of RFC 1321: the integer parts of `2^32 * |sin(i)|`.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The message padded to blocks of 64 bytes.
fn padded(data: &[u8], length: [u8; 8]) -> Vec<u8> {
    let mut m = data.to_vec();
    m.push(0x80);
    while m.len() % 64 != 56 {
        m.push(0);
    }
    m.extend(length);
    m
}

fn word(block: &[u8], i: usize, big: bool) -> u32 {
    let mut w = [0; 4];
    for (k, b) in w.iter_mut().enumerate() {
        *b = block.get(i * 4 + k).copied().unwrap_or(0);
    }
    if big { u32::from_be_bytes(w) } else { u32::from_le_bytes(w) }
}

/// MD5.
pub fn md5(data: &[u8]) -> [u8; 16] {
    let mut s = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(data, ((data.len() as u64) << 3).to_le_bytes()).chunks(64) {
        let [mut a, mut b, mut c, mut d] = s;
        for (i, sine) in SINES.iter().enumerate() {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let x = a.wrapping_add(f).wrapping_add(*sine).wrapping_add(word(block, g, false));
            let shift = SHIFTS.get(i / 16 * 4 + i % 4).copied().unwrap_or(0);
            (a, d, c, b) = (d, c, b, b.wrapping_add(x.rotate_left(shift)));
        }
        for (s, v) in s.iter_mut().zip([a, b, c, d]) {
            *s = s.wrapping_add(v);
        }
    }
    let mut out = [0; 16];
    for (o, b) in out.iter_mut().zip(s.iter().flat_map(|w| w.to_le_bytes())) {
        *o = b;
    }
    out
}

/// SHA-1.
pub fn sha1(data: &[u8]) -> [u8; 20] {
    let mut h = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(data, ((data.len() as u64) << 3).to_be_bytes()).chunks(64) {
        let mut w: Vec<u32> = (0..16).map(|i| word(block, i, true)).collect();
        for i in 16..80 {
            let at = |k: usize| w.get(i - k).copied().unwrap_or(0);
            w.push((at(3) ^ at(8) ^ at(14) ^ at(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (i, w) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999u32),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let t = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*w);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, t);
        }
        for (h, v) in h.iter_mut().zip([a, b, c, d, e]) {
            *h = h.wrapping_add(v);
        }
    }
    let mut out = [0; 20];
    for (o, b) in out.iter_mut().zip(h.iter().flat_map(|w| w.to_be_bytes())) {
        *o = b;
    }
    out
}

fn digest(name: &str, data: &[u8]) -> String {
    match name {
        "md5sum" => hex(&md5(data)),
        "sha1sum" => hex(&sha1(data)),
        "sha512sum" => hex(&sha2::Sha512::digest(data)),
        _ => hex(&sha2::Sha256::digest(data)),
    }
}

/// `md5sum` and its kin
pub fn sums(cx: &mut Cx) -> Ran {
    let o = match cx.options("csw", &[("check", 'c'), ("status", 's')]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let files = if o.rest.is_empty() { vec!["-".to_string()] } else { o.rest.clone() };
    let (mut code, name) = (0, cx.name.to_string());
    for f in &files {
        let data = match cx.input(f)? {
            Ok(d) => d,
            Err(e) => {
                cx.err(&format!("can't open '{f}': {e}"));
                code = 1;
                continue;
            }
        };
        if !o.has('c') {
            cx.say(&format!("{}  {f}\n", digest(&name, &data)));
            continue;
        }
        let (mut bad, mut all) = (0, 0);
        for l in String::from_utf8_lossy(&data).lines() {
            let Some((sum, path)) = l.split_once(' ') else { continue };
            let path = path.trim_start_matches([' ', '*']).to_string();
            all += 1;
            let ok = matches!(cx.input(&path)?, Ok(d) if digest(&name, &d) == sum);
            bad += i32::from(!ok);
            if !o.has('s') {
                cx.say(&format!("{path}: {}\n", if ok { "OK" } else { "FAILED" }));
            }
        }
        if bad > 0 {
            cx.err(&format!("WARNING: {bad} of {all} computed checksums did NOT match"));
            code = 1;
        }
    }
    Ok(code)
}

fn printable(b: u8) -> char {
    if (32..127).contains(&b) { char::from(b) } else { '.' }
}

/// `hexdump -C`, `xxd`, `od -c`, `od -x`
pub fn dump(cx: &mut Cx) -> Ran {
    let o = match cx.options("Ccbxdovn:s:A:t:pu", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let (mut data, failed) = inputs(cx, &o.rest)?;
    if let Some(s) = o.value('s').and_then(super::options::count) {
        data.drain(..usize::try_from(s).unwrap_or(usize::MAX).min(data.len()));
    }
    if let Some(n) = o.value('n').and_then(super::options::count) {
        data.truncate(usize::try_from(n).unwrap_or(usize::MAX));
    }
    let name = cx.name.to_string();
    let chars = o.has('c') || o.value('t') == Some("c");
    for (i, row) in data.chunks(16).enumerate() {
        let at = i * 16;
        let text: String = row.iter().map(|b| printable(*b)).collect();
        let line = match name.as_str() {
            "xxd" if o.has('p') => hex(row),
            "xxd" => {
                let pairs: Vec<String> = row.chunks(2).map(hex).collect();
                format!("{at:08x}: {:<39}  {text}", pairs.join(" "))
            }
            "od" if chars => {
                let cells: String = row
                    .iter()
                    .map(|b| match b {
                        b'\n' => "  \\n".to_string(),
                        b'\t' => "  \\t".to_string(),
                        b'\r' => "  \\r".to_string(),
                        0 => "  \\0".to_string(),
                        b if (32..127).contains(b) => format!("   {}", char::from(*b)),
                        b => format!(" {b:03o}"),
                    })
                    .collect();
                format!("{at:07o}{cells}")
            }
            "od" => {
                let x = o.has('x') || o.value('t').is_some_and(|t| t.starts_with('x'));
                let cells: String = row
                    .chunks(2)
                    .map(|p| {
                        let v = u16::from_le_bytes([
                            p.first().copied().unwrap_or(0),
                            p.get(1).copied().unwrap_or(0),
                        ]);
                        if x { format!(" {v:04x}") } else { format!(" {v:06o}") }
                    })
                    .collect();
                format!("{at:07o}{cells}")
            }
            _ if o.has('C') => {
                let (l, r) = row.split_at(row.len().min(8));
                let part = |p: &[u8]| p.iter().map(|b| format!("{b:02x} ")).collect::<String>();
                format!("{at:08x}  {:<24} {:<24} |{text}|", part(l), part(r))
            }
            _ => {
                let cells: String = row
                    .chunks(2)
                    .map(|p| {
                        let v = u16::from_le_bytes([
                            p.first().copied().unwrap_or(0),
                            p.get(1).copied().unwrap_or(0),
                        ]);
                        format!(" {v:04x}")
                    })
                    .collect();
                format!("{at:07x}{cells:<40}")
            }
        };
        cx.say(&format!("{line}\n"));
    }
    let n = data.len();
    match name.as_str() {
        "xxd" => {}
        "od" => cx.say(&format!("{n:07o}\n")),
        _ if n == 0 => {}
        _ if o.has('C') => cx.say(&format!("{n:08x}\n")),
        _ => cx.say(&format!("{n:07x}\n")),
    }
    Ok(i32::from(failed))
}

/// `strings`
pub fn strings(cx: &mut Cx) -> Ran {
    let o = match cx.options("an:fo", &[]) {
        Ok(o) => o,
        Err(c) => return Ok(c),
    };
    let n = o.value('n').and_then(|n| n.parse().ok()).unwrap_or(4usize).max(1);
    let (data, failed) = inputs(cx, &o.rest)?;
    for s in data.split(|b| !(32..127).contains(b) && *b != b'\t') {
        if s.len() >= n {
            cx.out.put(1, s);
            cx.say("\n");
        }
    }
    Ok(i32::from(failed))
}
