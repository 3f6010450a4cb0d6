//! Fortanix's own code for SIGSTRUCT, with which sgxs-sign is made: `sign` as that program does it, `verify` as its --resign-verify.
//! What to do stands in the arguments: see tests/conformance/test_fortanix_sigstruct.py.

use std::fs::{self, File};

use openssl::hash::Hasher;
use openssl::pkey::PKey;
use sgxs::sigstruct::{self, EnclaveHash, Signer};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sign", key, sgxs, output, product, svn] => {
            let key = PKey::private_key_from_pem(&fs::read(key).expect("a key")).expect("PEM").rsa().expect("RSA");
            let hash = EnclaveHash::from_stream::<_, Hasher>(&mut File::open(sgxs).expect("a stream")).expect("SGXS");
            let mut signer = Signer::new(hash);
            signer.date(2026, 11, 30).isvprodid(product.parse().expect("a number")).isvsvn(svn.parse().expect("a number"));
            let made = signer.sign::<_, Hasher>(&*key).expect("a signature");
            fs::write(output, AsRef::<[u8]>::as_ref(&made)).expect("a file");
        }
        ["verify", public, file] => {
            let key = PKey::public_key_from_pem(&fs::read(public).expect("a key")).expect("PEM").rsa().expect("RSA");
            let read = sigstruct::read(&mut File::open(file).expect("a file")).expect("a SIGSTRUCT");
            let verdict = sigstruct::verify::<_, Hasher>(&read, &*key).is_ok();
            println!("{verdict} {:08x} {} {} {:?} {:x}", read.date, read.isvprodid, read.isvsvn, read.attributes.flags, read.attributemask[0]);
        }
        _ => panic!("sign KEY SGXS OUTPUT PRODUCT SVN, or verify PUBLIC FILE"),
    }
}
