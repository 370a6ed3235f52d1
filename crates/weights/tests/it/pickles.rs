//! Checkpoints put together byte by byte, so that tests can lie in any place.

/// A pickle as it grows; every method adds one thing to its stack.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// Instructions as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, value: u64) -> Self {
        self.raw(&[0x8a, 9]).raw(&value.to_le_bytes()).raw(&[0])
    }

    pub fn ints(self, values: &[u64]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, &value| pickle.int(value)).raw(b"t")
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn storage(self, class: &str, key: &str, elements: u64) -> Self {
        self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu").int(elements).raw(b"tQ")
    }

    /// A tensor as `torch.save` writes it.
    pub fn tensor(self, stored: &Stored<'_>) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(stored.class, stored.key, stored.elements)
            .int(stored.offset)
            .ints(stored.shape)
            .ints(stored.strides)
            .raw(&[0x89])
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A tensor and the storage that it is a view of.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    pub class: &'a str,
    pub key: &'a str,
    /// Of the whole storage.
    pub elements: u64,
    pub offset: u64,
    pub shape: &'a [u64],
    pub strides: &'a [u64],
}

/// A member of a zip archive, with everything that may be a lie.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub content: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc32: u32,
    /// The size that the directory declares.
    pub size: u32,
    /// Where the directory says that the member's header is; `None` for the truth.
    pub header_at: Option<u32>,
}

pub fn member(name: &str, content: &[u8]) -> Member {
    Member {
        name: name.to_owned(),
        content: content.to_vec(),
        method: 0,
        flags: 0,
        crc32: crc32fast::hash(content),
        size: content.len() as u32,
        header_at: None,
    }
}

/// A zip archive of stored members, with headers as short as they may be.
pub fn archive(members: &[Member]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut directory = vec![];
    for member in members {
        let at = member.header_at.unwrap_or(bytes.len() as u32);
        let mut common = vec![];
        for value in [20, member.flags, member.method, 0, 0] {
            common.extend_from_slice(&value.to_le_bytes());
        }
        for value in [member.crc32, member.size, member.size] {
            common.extend_from_slice(&value.to_le_bytes());
        }
        common.extend_from_slice(&(member.name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&common);
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(member.name.as_bytes());
        bytes.extend_from_slice(&member.content);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&(members.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(members.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes
}

/// A checkpoint of PyTorch 1.6 and later: a pickle and storages "0", "1", ...
pub fn checkpoint(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<u8> {
    archive(&checkpoint_members(pickle, storages))
}

/// The members of [`checkpoint`].
pub fn checkpoint_members(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<Member> {
    let mut members = vec![member("a/data.pkl", pickle)];
    members.extend(storages.iter().enumerate().map(|(key, bytes)| member(&format!("a/data/{key}"), bytes)));
    members
}

/// A checkpoint of before PyTorch 1.6; storages with their numbers of elements.
pub fn legacy(pickle: &[u8], storages: &[(&str, u64, Vec<u8>)]) -> Vec<u8> {
    let magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    let mut bytes = Pickle::new().raw(&[0x8a, 10]).raw(&magic).end();
    bytes.extend(Pickle::new().raw(b"M\xe9\x03").end());
    bytes.extend(Pickle::new().raw(b"}").text("little_endian").raw(&[0x88]).raw(b"s").end());
    bytes.extend_from_slice(pickle);
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |pickle, (key, ..)| pickle.text(key));
    bytes.extend(keys.raw(b"e").end());
    for (_, elements, content) in storages {
        bytes.extend_from_slice(&elements.to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

/// Little-endian bytes of `f32` values.
pub fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}
