//! Fortanix's client, unmodified, through what it asks of a cache; one line of JSON for each call, by its name.
//! What to do stands in the file that is named first: see tests/conformance/test_fortanix_client.py.

use std::convert::TryFrom;

use dcap_artifact_retrieval::{reqwest_client, PccsProvisioningClientBuilder, PcsVersion, ProvisioningClient};
use pcs::{DcapArtifactIssuer, Fmspc, PckID};
use serde_json::{json, Value};

fn octets(story: &Value, name: &str) -> Vec<u8> {
    let text = story[name].as_str().expect(name);
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).expect(name)).collect()
}

fn number(story: &Value, name: &str) -> u16 {
    u16::try_from(story[name].as_u64().expect(name)).expect(name)
}

fn tell<E: std::fmt::Debug>(name: &str, answer: Result<Value, E>) {
    let told = match answer {
        Ok(value) => json!({"name": name, "found": value}),
        Err(error) => json!({"name": name, "error": format!("{error:?}")}),
    };
    println!("{told}");
}

fn main() {
    let file = std::env::args().nth(1).expect("a file");
    let story: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a file")).expect("JSON");
    let address = story["address"].as_str().expect("address").to_owned();
    let client = PccsProvisioningClientBuilder::new(PcsVersion::V4, address).build(reqwest_client());
    let fmspc = Fmspc::try_from(story["fmspc"].as_str().expect("fmspc")).expect("fmspc");
    let identity = PckID {
        enc_ppid: octets(&story, "encrypted_ppid"),
        pce_id: number(&story, "pce_id"),
        cpu_svn: <[u8; 16]>::try_from(octets(&story, "cpu_svn")).expect("cpu_svn"),
        pce_isvsvn: number(&story, "pce_svn"),
        qe_id: <[u8; 16]>::try_from(octets(&story, "qe_id")).expect("qe_id"),
    };
    let held = number(&story, "number");

    tell("root crl", client.root_ca_crl().map(|found| json!(found.crl_as_pem().as_str())));
    for (name, authority) in [("processor crl", DcapArtifactIssuer::PCKProcessorCA), ("platform crl", DcapArtifactIssuer::PCKPlatformCA)] {
        tell(name, client.pckcrl(authority).map(|found| json!(found.crl_as_pem())));
    }
    for (name, edition) in [("early", None), ("number", Some(held)), ("older", Some(held - 1)), ("newer", Some(held + 1))] {
        tell(&format!("tcb info {name}"), client.sgx_tcbinfo(&fmspc, edition).map(|found| json!(found.raw_tcb_info())));
        tell(&format!("identity {name}"), client.qe_identity(edition).map(|found| json!(found.raw_qe_identity())));
    }
    tell("tdx tcb info", client.tdx_tcbinfo(&fmspc, None).map(|found| json!(found.raw_tcb_info())));
    tell("numbers", client.sgx_tcb_evaluation_data_numbers().map(|found| json!(found.raw_tcb_evaluation_data_numbers())));
    let one = client.pckcert(
        Some(&identity.enc_ppid),
        &identity.pce_id,
        &identity.cpu_svn,
        identity.pce_isvsvn,
        Some(&identity.qe_id),
    );
    tell("certificate", one.map(|found| json!(found.pck_pem())));
    tell("all certificates", client.pckcerts_with_fallback(&identity).map(|found| json!(found.iter().count())));
}
