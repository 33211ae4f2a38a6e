//! A script from a seed. Each seed draws its own mix of operations, faults,
//! clocks and limits, so that rare company is met in some of them.

use super::script::{Script, Step};
use super::wish::Wish;
use kw::kernel::sim::ops::{text, Fault, Op};
use kw::kernel::sim::Scheduled;
use kw::kernel::Errno;

/// xorshift64*: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // Neighbouring seeds must not be alike.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Dice(mixed | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % sides.max(1)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    /// So many times in a thousand.
    fn chance(&mut self, permille: usize) -> bool {
        self.roll(1000) < permille
    }
}

/// What a seed is made of: frequencies are per thousand operations.
struct Mix {
    names: usize,
    depth: usize,
    polls: usize,
    races: usize,
    late: usize,
    faults: usize,
    overflows: usize,
    limits: usize,
    modes: usize,
    mounts: usize,
    roots: usize,
    notices: usize,
    silent: usize,
    waits: usize,
    outside: usize,
    /// How often each of the ordinary operations comes, relative to the others.
    weights: [usize; 18],
}

impl Mix {
    fn draw(dice: &mut Dice) -> Mix {
        let mut weights = [0; 18];
        for weight in &mut weights {
            *weight = dice.pick(&[0, 1, 1, 2, 3, 6]);
        }
        weights[0] += 1; // Never nothing at all.
        Mix {
            names: dice.pick(&[2, 3, 4]),
            depth: dice.pick(&[1, 2, 3, 4]),
            polls: dice.pick(&[5, 30, 100, 300, 1000]),
            races: dice.pick(&[0, 300, 800, 1000]),
            late: dice.pick(&[0, 0, 100, 400]),
            faults: dice.pick(&[0, 0, 0, 15, 50]),
            overflows: dice.pick(&[0, 0, 0, 10]),
            limits: dice.pick(&[0, 0, 0, 20]),
            modes: dice.pick(&[0, 0, 0, 40]),
            mounts: dice.pick(&[0, 0, 0, 15]),
            roots: dice.pick(&[0, 0, 0, 15, 40]),
            notices: dice.pick(&[0, 0, 20]),
            silent: dice.pick(&[0, 0, 20]),
            waits: dice.pick(&[0, 10, 30]),
            outside: dice.pick(&[0, 50, 200]),
            weights,
        }
    }

    fn name(&self, dice: &mut Dice) -> String {
        let letter = char::from(b'a' + dice.roll(self.names) as u8);
        match dice.roll(12) {
            0 => letter.to_ascii_uppercase().to_string(),
            _ => letter.to_string(),
        }
    }

    fn path(&self, dice: &mut Dice) -> Box<[u8]> {
        let mut path = String::new();
        if dice.chance(self.outside) {
            path.push_str("../out/");
        }
        for step in 0..=dice.roll(self.depth) {
            if step > 0 {
                path.push('/');
            }
            path.push_str(&self.name(dice));
        }
        path.into_bytes().into()
    }

    fn ordinary(&self, dice: &mut Dice) -> Op {
        let total = self.weights.iter().sum();
        let mut at = dice.roll(total);
        let mut which = 0;
        while at >= self.weights[which] {
            at -= self.weights[which];
            which += 1;
        }
        let path = self.path(dice);
        let size = 1 + dice.roll(9) as u64;
        match which {
            0 => Op::Mkdirs(path),
            1 => Op::Mkdir(path),
            2 => Op::Create(path),
            3 => Op::Write(path, text(size)),
            4 => Op::Append(path, size),
            5 => Op::Overwrite(path, size),
            6 => Op::Truncate(path, dice.roll(9) as u64),
            7 => Op::Rm(path),
            8 => Op::Rmdir(path),
            9 => Op::Rmtree(path),
            10..=12 => Op::Mv(path, self.path(dice)),
            13 => Op::Swap(path, self.path(dice)),
            14 => Op::Ln(path, self.path(dice)),
            15 => Op::Symlink(self.path(dice), path),
            16 => Op::Mkfifo(path),
            _ => Op::Age(path),
        }
    }

    fn op(&self, dice: &mut Dice) -> Op {
        if dice.chance(self.roots) {
            let (a, b) = (
                [&b"."[..], b"..", b"../.."],
                [&b"../r"[..], b"../../w2", b"../out"],
            );
            let at = dice.roll(2);
            return match dice.roll(8) {
                0 => Op::Mv(a[at].into(), b[at].into()),
                1 => Op::Mv(b[at].into(), a[at].into()),
                2 => Op::Rmtree(b".".as_slice().into()),
                3 => Op::Mkdir(b".".as_slice().into()),
                4 => Op::Write(b".".as_slice().into(), text(3)),
                5 => Op::Symlink(b"r".as_slice().into(), b".".as_slice().into()),
                6 => Op::Rm(b".".as_slice().into()),
                _ => Op::Mv(b"../out".as_slice().into(), b".".as_slice().into()),
            };
        }
        if dice.chance(self.faults) {
            let fault = dice.pick(&[Fault::List, Fault::Watch, Fault::Stat]);
            let error = match fault {
                Fault::List => dice.pick(&[libc::EIO, libc::EMFILE]),
                Fault::Watch => dice.pick(&[libc::EMFILE, libc::ENOSPC, libc::ENOMEM]),
                Fault::Stat => libc::EIO,
            };
            return Op::Fail(fault, self.path(dice), Errno(error));
        }
        if dice.chance(self.overflows) {
            return Op::Overflow;
        }
        if dice.chance(self.limits) {
            return Op::Limit(dice.pick(&[None, Some(0), Some(3), Some(10), Some(30)]));
        }
        if dice.chance(self.modes) {
            let mode = dice.pick(&[0, 0o300, 0o500, 0o600, 0o700, 0o755, 0o755]);
            return Op::Chmod(self.path(dice), mode);
        }
        if dice.chance(self.mounts) {
            let path = self.path(dice);
            return match dice.roll(2) {
                0 => Op::Mount(path, false),
                _ => Op::Unmount(path),
            };
        }
        if dice.chance(self.notices) {
            let path = self.path(dice);
            return match dice.roll(3) {
                0 => Op::Revoke(path),
                _ => Op::Notice(path),
            };
        }
        if dice.chance(self.silent) {
            let path = self.path(dice);
            return match dice.roll(2) {
                0 => Op::Mmap(path),
                _ => Op::Clone(path, 1 + dice.roll(9) as u64),
            };
        }
        if dice.chance(self.waits) {
            return Op::Wait(dice.pick(&[1, 30, 1500, 3000]));
        }
        self.ordinary(dice)
    }

    fn scheduled(&self, dice: &mut Dice) -> Scheduled {
        let width = dice.pick(&[2, 5, 20]);
        let after = match dice.chance(self.races) {
            true => 1 + dice.roll(width) as u32,
            false => 0,
        };
        Scheduled {
            after,
            late: if dice.chance(self.late) {
                1 + dice.roll(30) as u32
            } else {
                0
            },
            early: if after > 0 { dice.roll(8) as u32 } else { 0 },
            succeeds: None,
            op: self.op(dice),
        }
    }
}

/// The script of a seed.
pub fn script(seed: u64, operations: usize) -> Script {
    let dice = &mut Dice::new(seed);
    let mix = Mix::draw(dice);
    let mut steps = Vec::new();
    steps.push(Step::Granule(dice.pick(&[
        1,
        1,
        1000,
        4_000_000,
        1_000_000_000,
        2_000_000_000,
    ])));
    steps.push(Step::Pace(dice.pick(&[100, 10_000, 1_000_000])));
    if dice.chance(300) {
        steps.push(Step::Casefold);
    }
    if dice.chance(100) {
        steps.push(Step::Kindless);
    }
    if dice.chance(100) {
        steps.push(Step::Queue(dice.pick(&[1, 4, 16, 64])));
    }
    let now = |op: Op| {
        Step::Do(Scheduled {
            after: 0,
            late: 0,
            early: 0,
            succeeds: None,
            op,
        })
    };
    steps.push(now(Op::Mkdir(b"../out".as_slice().into())));
    for _ in 0..dice.roll(60) {
        steps.push(now(mix.ordinary(dice)));
    }
    if dice.chance(mix.limits * 20) {
        steps.push(now(Op::Limit(Some(dice.roll(40)))));
    }
    let watch = |path: &[u8], dice: &mut Dice, label: &str| {
        Step::Watch(Box::new(Wish {
            path: path.into(),
            flat: dice.chance(100),
            dirs: dice.chance(200),
            all: dice.chance(200),
            initial: dice.chance(200),
            label: label.to_string(),
            ..Wish::default()
        }))
    };
    let mut watches = vec![".".as_bytes().to_vec()];
    if dice.chance(150) {
        watches.push(mix.path(dice).to_vec());
    }
    for (at, path) in watches.iter().enumerate() {
        if dice.chance(mix.races) {
            // While it crawls, things happen.
            for _ in 0..dice.roll(6) {
                let mut scheduled = mix.scheduled(dice);
                scheduled.after += 1;
                steps.push(Step::Do(scheduled));
            }
        }
        let label = if at == 0 { "" } else { "second" };
        steps.push(watch(path, dice, label));
    }
    for _ in 0..operations {
        steps.push(Step::Do(mix.scheduled(dice)));
        if dice.chance(mix.polls) {
            steps.push(Step::Poll(Vec::new(), 0));
        }
    }
    budgets(seed, &mut steps);
    filters(seed, &mut steps);
    gitignores(seed, &mut steps);
    links(seed, &mut steps);
    manners(seed, &mut steps);
    restarts(seed, &mut steps);
    Script {
        title: format!("seed {seed}"),
        steps,
        ..Script::default()
    }
}

/// What has to settle, what moves are told of, and what is not there yet.
fn manners(seed: u64, steps: &mut Vec<Step>) {
    let dice = &mut Dice::new(seed ^ 0x5e77_1e00_0000_0000);
    let mut settles = false;
    for step in steps.iter_mut() {
        let Step::Watch(wish) = step else {
            continue;
        };
        wish.expanded = dice.chance(300);
        wish.missing = dice.chance(300);
        if dice.chance(250) {
            wish.settle = dice.pick(&[1, 50, 300, 2000]);
            settles = true;
        }
    }
    let mut at = steps.len();
    while at > 0 && settles {
        at -= 1;
        if dice.chance(100) {
            steps.insert(at, Step::Peek);
        }
    }
}

/// The program is not running for a while: what it knew was saved, and what happened
/// meanwhile is told when it goes on, with other filters perhaps.
fn restarts(seed: u64, steps: &mut Vec<Step>) {
    let dice = &mut Dice::new(seed ^ 0x5a7e_d000_0000_0000);
    if dice.chance(700) {
        return;
    }
    let is_watch = |step: &Step| matches!(step, Step::Watch(_));
    let Some(first) = steps.iter().position(is_watch) else {
        return;
    };
    for number in 0..1 + dice.roll(2) {
        let left = steps.len() - first;
        let at = first + 1 + dice.roll(left);
        let Some(Step::Watch(wish)) = steps[..at].iter().rfind(|s| is_watch(s)).cloned() else {
            continue;
        };
        let mut again = wish.clone();
        again.since = format!("s{number}");
        again.initial = false;
        if dice.chance(300) {
            again.exclude.clear();
            again.depth = 0;
            again.flat = dice.chance(200);
        }
        let gone = dice.pick(&[0, 1, 5, 30]);
        let back = (at + gone).min(steps.len());
        steps.insert(back, Step::Watch(again));
        steps.insert(at, Step::Unwatch(wish.label.clone()));
        steps.insert(at, Step::Save(wish.label, format!("s{number}")));
    }
}

/// What is excluded from a watch, likewise drawn by itself.
fn filters(seed: u64, steps: &mut [Step]) {
    let dice = &mut Dice::new(seed ^ 0xf117_e125_0000_0000);
    if dice.chance(600) {
        return;
    }
    let globs = [
        "a", "b/", "/a", "/b/", "a/b", "*/a", "**/b", "?/c", "a/**/b", "A", "c*", "/c/a",
    ];
    for step in steps {
        let Step::Watch(wish) = step else {
            continue;
        };
        let draw = |dice: &mut Dice, often: usize| -> Vec<Box<[u8]>> {
            let count = if dice.chance(often) {
                1 + dice.roll(2)
            } else {
                0
            };
            (0..count)
                .map(|_| dice.pick(&globs).as_bytes().into())
                .collect()
        };
        wish.exclude = draw(dice, 600);
        wish.include = draw(dice, 200);
        wish.onlydirs = dice.chance(100);
        wish.onedevice = dice.chance(200);
        if dice.chance(300) && !wish.flat {
            wish.depth = 1 + dice.roll(3);
        }
    }
}

/// A root that is reached by way of links, which come to lead elsewhere.
fn links(seed: u64, steps: &mut Vec<Step>) {
    let dice = &mut Dice::new(seed ^ 0x1111_ca5e_0000_0000);
    if dice.chance(850) {
        return;
    }
    let is_watch = |step: &Step| matches!(step, Step::Watch(_));
    let Some(first) = steps.iter().position(is_watch) else {
        return;
    };
    let link = |dice: &mut Dice| dice.pick(&["../cur", "../cur", "../l/m"]);
    let lead = |dice: &mut Dice| -> Op {
        let at = link(dice);
        let to = match at {
            "../cur" => dice.pick(&[
                "root",
                "out",
                "root/a",
                "l/m",
                "nowhere",
                "/w/root/b",
                "cur",
            ]),
            _ => dice.pick(&["../out", "../root", "../root/a", "m", "../cur"]),
        };
        Op::Symlink(to.as_bytes().into(), at.as_bytes().into())
    };
    if let Step::Watch(wish) = &mut steps[first] {
        let path = dice.pick(&["../cur", "../cur", "../cur/a", "../l/m"]);
        wish.path = path.as_bytes().into();
        wish.missing = dice.chance(500);
    }
    let step = |op: Op, after: usize| {
        Step::Do(Scheduled {
            after: after as u32,
            late: 0,
            early: 0,
            succeeds: None,
            op,
        })
    };
    let often = dice.pick(&[20, 60, 150]);
    let mut at = steps.len();
    while at > first {
        at -= 1;
        if !dice.chance(often) {
            continue;
        }
        let after = match dice.chance(500) {
            true => 1 + dice.roll(12),
            false => 0,
        };
        let name = |path: &str| -> Box<[u8]> { path.as_bytes().into() };
        let from = link(dice);
        let ops = match dice.roll(8) {
            0..=3 => vec![Op::Rm(name(from)), lead(dice)],
            4 => vec![
                Op::Symlink(name("root"), name("../new")),
                Op::Mv(name("../new"), name("../cur")),
            ],
            5 => vec![Op::Mv(name("../l"), name("../k"))],
            6 => vec![Op::Mv(name("../k"), name("../l"))],
            _ => vec![Op::Rm(name(from)), Op::Mkdirs(name(from))],
        };
        for op in ops.into_iter().rev() {
            steps.insert(at, step(op, after));
        }
    }
    let before = [Op::Mkdir(b"../l".as_slice().into()), lead(dice), lead(dice)];
    for op in before.into_iter().rev() {
        steps.insert(first, step(op, 0));
    }
}

/// Files that say what is excluded, which come, change, move and go.
fn gitignores(seed: u64, steps: &mut Vec<Step>) {
    let dice = &mut Dice::new(seed ^ 0x6171_6e0e_0000_0000);
    if dice.chance(700) {
        return;
    }
    let lines = [
        "a", "b/", "/a", "/b/", "a/b", "*/a", "**/b", "c*", "*", "!a", "!b/", "!/c", "!a/b", "?",
    ];
    let place = |dice: &mut Dice| -> Box<[u8]> {
        let dirs = ["", "", "a/", "b/", "a/b/", "c/", "b/a/", "../out/"];
        let name = dice.pick(&[".gitignore", ".gitignore", ".gitignore", ".git", "a"]);
        format!("{}{name}", dice.pick(&dirs)).into_bytes().into()
    };
    for step in steps.iter_mut() {
        match step {
            Step::Watch(wish) => wish.gitignore = dice.chance(800),
            Step::Do(scheduled) if dice.chance(60) => match &mut scheduled.op {
                Op::Mv(p, q) | Op::Ln(p, q) | Op::Swap(p, q) => match dice.roll(2) {
                    0 => *p = place(dice),
                    _ => *q = place(dice),
                },
                Op::Create(p) | Op::Mkdir(p) | Op::Rm(p) | Op::Age(p) | Op::Chmod(p, _) => {
                    *p = place(dice);
                }
                Op::Append(p, _) | Op::Truncate(p, _) | Op::Overwrite(p, _) => *p = place(dice),
                _ => {}
            },
            _ => {}
        }
    }
    let often = dice.pick(&[20, 60, 150]);
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        if !dice.chance(often) {
            continue;
        }
        let count = 1 + dice.roll(3);
        let says: Vec<&str> = (0..count).map(|_| dice.pick(&lines)).collect();
        let scheduled = Scheduled {
            after: if dice.chance(300) {
                dice.roll(20) as u32
            } else {
                0
            },
            late: 0,
            early: 0,
            succeeds: None,
            op: Op::Write(place(dice), says.join("\n").into_bytes().into()),
        };
        steps.insert(at, Step::Do(scheduled));
    }
}

/// Limits to the number of watches, from none at all to enough, which come and change
/// while a seed runs; ticks of few looks; and a file system that does not tell of all.
/// Drawn by themselves, so that what a seed does otherwise does not depend on them.
fn budgets(seed: u64, steps: &mut Vec<Step>) {
    let dice = &mut Dice::new(seed ^ 0x5ca1_ab1e_0000_0000);
    if dice.chance(500) {
        return;
    }
    let limits = [0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 100];
    let limit = |dice: &mut Dice| match dice.roll(12) {
        0 => Step::Budget(None),
        _ => Step::Budget(Some(dice.pick(&limits))),
    };
    let changes = dice.pick(&[0, 10, 50]);
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        if dice.chance(changes) {
            let step = limit(dice);
            steps.insert(at, step);
        }
    }
    let first = limit(dice);
    steps.insert(0, first);
    steps.insert(0, Step::Looks(dice.pick(&[1, 3, 10, 100, 5000])));
    if dice.chance(200) {
        let is_watch = |step: &Step| matches!(step, Step::Watch(_));
        let before = steps.iter().position(is_watch).unwrap_or(0);
        for op in [
            Op::Mkdir(b"a".as_slice().into()),
            Op::Mount(b"a".as_slice().into(), true),
        ] {
            let scheduled = Scheduled {
                after: 0,
                late: 0,
                early: 0,
                succeeds: None,
                op,
            };
            steps.insert(before, Step::Do(scheduled));
        }
        steps.swap(before, before + 1);
    }
}
