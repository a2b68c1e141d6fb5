//! `model`: from a hub on loopback to an answered query, and back off the disk.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Output, Running, Sandbox, copy_dir, files_below, finish, signal, tiny_model};
use crate::stand_in::{ForwardProxy, StandIn, authority, blob_name};
use crate::tmux::{self, Start};

const TEXT: &str = "IDEA-CCNL/Taiyi-CLIP-Roberta-102M-Chinese";
const IMAGE: &str = "openai/clip-vit-base-patch32";
const CHINESE_CLIP: &str = "OFA-Sys/chinese-clip-vit-base-patch16";
const LARGE_IMAGE: &str = "openai/clip-vit-large-patch14";

fn hub() -> StandIn {
    let hub = StandIn::start();
    let data = tiny_model().parent().unwrap().to_owned();
    for text in [
        TEXT,
        "IDEA-CCNL/Taiyi-CLIP-Roberta-large-326M-Chinese",
        "IDEA-CCNL/Taiyi-CLIP-RoBERTa-102M-ViT-L-Chinese",
    ] {
        hub.add_folder(text, &data.join("tiny/text"));
    }
    for image in [IMAGE, LARGE_IMAGE] {
        hub.add_folder(image, &data.join("tiny/image"));
    }
    hub.add_folder(CHINESE_CLIP, &data.join("tiny-cn-clip"));
    hub
}

/// A command of an account that has nothing but the hub.
fn command(s: &Sandbox, hub: &StandIn, args: &[&str]) -> Command {
    let mut command = s.command();
    command.env_remove("TAIYI_MODEL").env("HF_ENDPOINT", hub.url()).args(args);
    command
}

fn run(s: &Sandbox, hub: &StandIn, args: &[&str]) -> Output {
    finish(command(s, hub, args), b"")
}

fn offline(s: &Sandbox, hub: &StandIn, args: &[&str]) -> Output {
    let mut command = command(s, hub, args);
    command.env("HF_HUB_OFFLINE", "1");
    finish(command, b"")
}

fn cache(s: &Sandbox) -> PathBuf {
    s.at("home/cache/huggingface/hub")
}

fn place_of(s: &Sandbox, hub: &StandIn, name: &str) -> Value {
    let listed = run(s, hub, &["model", "list", "--format", "json"]);
    let models = listed.succeeded().json()["models"].as_array().unwrap().clone();
    models.into_iter().find(|model| model["name"] == name).unwrap()
}

#[test]
fn from_the_hub_to_an_answer_without_network() {
    let (s, hub) = (Sandbox::new(), hub());
    s.paint("1.png", 1);
    // Nobody is there to be asked, so what to type is told.
    run(&s, &hub, &["index", "photos"]).refused(&["taiyi-search model fetch taiyi-102m", "hf-mirror.com"]);
    assert_eq!(place_of(&s, &hub, "taiyi-102m")["here"], false);
    run(&s, &hub, &["model", "show", "taiyi-102m"]).exited(1);
    let import = "taiyi-search model import DIR --as taiyi-102m";
    offline(&s, &hub, &["model", "fetch", "taiyi-102m"]).refused(&[
        TEXT,
        "are not in",
        "HF_HUB_OFFLINE",
        import,
    ]);
    for args in [&["index", "photos"][..], &["model", "verify", "taiyi-102m"]] {
        let refused = offline(&s, &hub, args);
        refused.refused(&["model taiyi-102m is not here: HF_HUB_OFFLINE", import]);
        assert!(!refused.stderr.contains("--mirror"), "{}", refused.stderr);
    }
    let absent = offline(&s, &hub, &["model", "show", "taiyi-102m"]);
    assert!(absent.exited(1).text().contains("HF_HUB_OFFLINE"), "{}", absent.text());
    assert_eq!(hub.take_asked(), []);
    let fetched = run(&s, &hub, &["model", "fetch", "taiyi-102m"]);
    assert!(fetched.succeeded().stderr.contains("taiyi-102m is here"), "{}", fetched.stderr);
    hub.take_asked();
    for args in [&["model", "fetch", "taiyi-102m"][..], &["index", "photos"], &["query", "老虎"]] {
        offline(&s, &hub, args).succeeded();
    }
    // The weights are hashed once, not by every command.
    let remembered = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "id");
    assert_eq!(files_below(&s.at("home/cache")).iter().filter(|path| remembered(path)).count(), 1);
    let listed = place_of(&s, &hub, "taiyi-102m");
    assert_eq!((&listed["here"], &listed["place"]["kind"]), (&Value::Bool(true), &Value::from("towers")));
    assert_eq!(s.status()["model"]["name"], "taiyi-102m");
    let shown = run(&s, &hub, &["model", "show", "taiyi-102m", "--format", "json"]);
    let shown = shown.succeeded().json();
    assert_eq!(shown["text"]["feature"], "classifier logits");
    assert_eq!(shown["files"].as_array().unwrap().len(), 6);
    assert_eq!(shown["weights"], s.status()["model"]["weights"]);
    let table = run(&s, &hub, &["model", "list"]);
    assert!(
        table.succeeded().text().contains("hub cache") && table.text().contains("built in"),
        "{}",
        table.text()
    );
    assert!(run(&s, &hub, &["model", "show", "taiyi-102m"]).succeeded().text().contains("vocab.txt"));
    assert_eq!(hub.take_asked(), [], "all of this without asking");
}

#[test]
fn what_python_has_fetched_is_used_as_it_is() {
    let (s, hub) = (Sandbox::new(), hub());
    s.paint("1.png", 1);
    // As huggingface_hub leaves it, in a place of the user's choice, with a file that nobody needs here.
    let python = s.at("python/hub");
    for (name, tower) in [(TEXT, "text"), (IMAGE, "image")] {
        let repository = python.join(format!("models--{}", name.replace('/', "--")));
        let commit = hub.commit(name);
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::create_dir_all(repository.join("snapshots").join(&commit)).unwrap();
        fs::write(repository.join("refs/main"), &commit).unwrap();
        for entry in fs::read_dir(tiny_model().join(tower)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let blob = blob_name(name, &bytes);
            fs::write(repository.join("blobs").join(&blob), bytes).unwrap();
            let link = repository.join("snapshots").join(&commit).join(name);
            #[cfg(unix)]
            std::os::unix::fs::symlink(PathBuf::from("../../blobs").join(&blob), link).unwrap();
            #[cfg(not(unix))]
            fs::copy(repository.join("blobs").join(&blob), link).unwrap();
        }
    }
    for (variable, value) in [("HF_HOME", s.at("python")), ("HF_HUB_CACHE", python.clone())] {
        let mut embed = command(&s, &hub, &["embed", "--text", "老虎", "--model", "taiyi-102m"]);
        embed.env(variable, value);
        finish(embed, b"").succeeded();
    }
    assert_eq!(hub.take_asked(), []);
}

#[test]
fn a_token_a_mirror_and_a_proxy() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.token = Some("hf_secret".into()));
    let args = ["model", "fetch", "cn-clip-b16"];
    run(&s, &hub, &args).refused(&["401", "HF_TOKEN"]);
    let proxy = ForwardProxy::start();
    let mut through = s.command();
    through
        .env_remove("TAIYI_MODEL")
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .env("HF_TOKEN", "hf_secret")
        .env("all_proxy", format!("http://127.0.0.1:{}", proxy.port))
        .env("ALL_PROXY", "http://127.0.0.1:1")
        .args(args)
        .args(["--mirror", &hub.url()]);
    finish(through, b"").succeeded();
    assert!(!proxy.tunnels.lock().unwrap().is_empty());
    assert!(hub.take_asked().iter().any(|asked| asked.token.as_deref() == Some("Bearer hf_secret")));
    run(&s, &hub, &["embed", "--text", "老虎", "--model", "cn-clip-b16"]).succeeded();
}

#[test]
fn a_login_on_disk_stays_there() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.token = Some("hf_secret".into()));
    s.write("home/cache/huggingface/token", b"hf_secret\n");
    s.write("home/elsewhere/token", b"hf_secret\n");
    let args = ["model", "fetch", "cn-clip-b16", "--mirror", &hub.url()];
    run(&s, &hub, &args).refused(&["huggingface/token was kept back", "HF_TOKEN"]);
    for (variable, value, told) in [
        ("HF_TOKEN_PATH", "~/elsewhere/token", "elsewhere/token was kept back"),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    ] {
        let mut command = command(&s, &hub, &args);
        command.env(variable, value);
        finish(command, b"").refused(&["401", told, "HF_TOKEN"]);
    }
    // Turned off, the user's own token stays, too.
    let mut both = command(&s, &hub, &args);
    both.env("HF_TOKEN", "hf_secret").env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "YES");
    finish(both, b"").refused(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]);
    assert!(hub.take_asked().iter().all(|asked| asked.token.is_none()));
}

#[test]
fn a_companys_authority_and_folders_below_home() {
    let (s, hub) = (Sandbox::new(), hub());
    let args = ["model", "fetch", "cn-clip-b16", "--mirror", &hub.https_url()];
    run(&s, &hub, &args).refused(&["UnknownIssuer", "SSL_CERT_FILE"]);
    for (variable, home) in [("SSL_CERT_FILE", "HF_HOME"), ("REQUESTS_CA_BUNDLE", "HF_HUB_CACHE")] {
        let mut command = command(&s, &hub, &args);
        command.env(variable, authority()).env(home, format!("~/{home}"));
        finish(command, b"").succeeded();
        let repository = format!("models--{}", CHINESE_CLIP.replace('/', "--"));
        let folders = [s.at("home").join(home), s.at("home").join(home).join("hub")];
        assert!(folders.iter().any(|dir| dir.join(&repository).is_dir()), "{home}");
    }
    assert!(hub.take_asked().iter().all(|asked| asked.is_tls));
}

#[test]
fn killed_in_the_middle_it_goes_on() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.pause = Duration::from_millis(100));
    let running = Running::start(command(&s, &hub, &["model", "fetch", "taiyi-102m"]));
    let part = loop {
        let parts = files_below(&s.at("home"));
        let large = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 200_000);
        if let Some(part) =
            parts.into_iter().find(|path| path.to_string_lossy().ends_with("taiyi-part") && large(path))
        {
            break part;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    drop(running);
    let length = fs::metadata(&part).unwrap().len();
    assert_eq!(place_of(&s, &hub, "taiyi-102m")["here"], false);
    hub.set(|faults| faults.pause = Duration::ZERO);
    hub.take_asked();
    let fetched = run(&s, &hub, &["model", "fetch", "taiyi-102m"]);
    assert!(fetched.succeeded().stderr.contains("going on at"), "{}", fetched.stderr);
    let range = format!("bytes={length}-");
    assert!(hub.take_asked().iter().any(|asked| asked.range.as_deref() == Some(range.as_str())));
    run(&s, &hub, &["model", "verify", "taiyi-102m"]).succeeded();
}

#[test]
fn two_at_once_fetch_it_once() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.pause = Duration::from_millis(30));
    let args = ["model", "fetch", "cn-clip-b16"];
    let both = [(); 2].map(|()| Running::start(command(&s, &hub, &args)));
    for running in both {
        running.wait().succeeded();
    }
    let bodies = hub.take_asked().iter().filter(|asked| asked.is_cdn && asked.method == "GET").count();
    assert_eq!(bodies, 1);
    run(&s, &hub, &["model", "verify", "cn-clip-b16"]).succeeded();
}

#[test]
fn a_folder_to_carry_away_is_one_models() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.pause = Duration::from_millis(100));
    let large = |path: &PathBuf| {
        path.to_string_lossy().ends_with("taiyi-part")
            && fs::metadata(path).is_ok_and(|file| file.len() > 200_000)
    };
    let fetching = Running::start(command(&s, &hub, &["model", "fetch", "taiyi-102m", "--to", "stick"]));
    while !files_below(s.base()).iter().any(large) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Both while it goes on and when it has been broken off.
    let other = ["model", "fetch", "cn-clip-b16", "--to", "stick"];
    run(&s, &hub, &["model", "fetch", "taiyi-102m", "--to", "stick"]).refused(&[
        "another process fetches into",
        "stick",
        "wait",
    ]);
    run(&s, &hub, &other)
        .refused(&["stick holds an unfinished taiyi-102m: fetch that, or name a new folder"]);
    drop(fetching);
    let before = files_below(&s.at("stick"));
    run(&s, &hub, &other)
        .refused(&["stick holds an unfinished taiyi-102m: fetch that, or name a new folder"]);
    assert_eq!(files_below(&s.at("stick")), before);
    hub.set(|faults| faults.pause = Duration::ZERO);
    let fetched = run(&s, &hub, &["model", "fetch", "taiyi-102m", "--to", "stick"]);
    assert!(fetched.succeeded().stderr.contains("going on at"), "{}", fetched.stderr);
    run(&s, &hub, &["model", "verify", "./stick"]).succeeded();
    let hidden = |path: &&PathBuf| path.to_string_lossy().contains("taiyi-fetch");
    assert_eq!(files_below(&s.at("stick")).iter().find(hidden), None);
}

#[test]
fn carried_to_a_machine_without_network() {
    let (s, hub) = (Sandbox::new(), hub());
    let told = run(&s, &hub, &["model", "fetch", "cn-clip-b16", "--to", "stick"]);
    assert!(told.succeeded().stderr.contains("model import DIR --as cn-clip-b16"), "{}", told.stderr);
    run(&s, &hub, &["model", "fetch", "taiyi-102m", "--to", "stick2"]).succeeded();
    assert!(!cache(&s).exists());
    hub.take_asked();

    let other = Sandbox::new();
    copy_dir(&s.at("stick"), &other.at("stick"));
    copy_dir(&s.at("stick2"), &other.at("stick2"));
    // The tiny models have fewer dimensions than those whose names they bear here.
    offline(&other, &hub, &["model", "import", "stick", "--as", "cn-clip-b16"]).refused(&[
        "dimensions: 24, expected 512",
        "patches of 14, expected 16",
        "another name",
    ]);
    offline(&other, &hub, &["model", "import", "stick", "--as", "a"]).succeeded();
    offline(&other, &hub, &["model", "import", "stick", "--as", "a"]).refused(&["already"]);
    offline(&other, &hub, &["model", "import", "stick", "--as", "demo"]).refused(&["built-in"]);
    offline(&other, &hub, &["model", "import", "stick", "--as", "../x"]).refused(&["name"]);
    offline(&other, &hub, &["model", "import", "photos", "--as", "x"]).refused(&["config.json"]);
    offline(&other, &hub, &["model", "import", "stick2", "--as", "我的"]).succeeded();
    offline(&other, &hub, &["model", "import", "stick2/text", "--image", "stick2/image", "--as", "b"])
        .succeeded();
    other.paint("1.png", 1);
    for name in ["a", "我的", "b"] {
        offline(&other, &hub, &["embed", "--model", name, "--text", "老虎"]).succeeded();
        let verified = offline(&other, &hub, &["model", "verify", name, "--format", "json"]);
        let files = verified.succeeded().json()["files"].as_array().unwrap().clone();
        assert!(files.len() >= 4 && files.iter().all(|file| file["state"] == "sound"), "{files:?}");
    }
    // A file of no use by itself, and one that is gone, though the model would open without.
    offline(&other, &hub, &["model", "import", "stick/model.safetensors", "--as", "x"])
        .refused(&["is a file", "taiyi-search model import stick --as x"]);
    offline(&other, &hub, &["embed", "--model", "stick2/text/vocab.txt", "--text", "老虎"])
        .refused(&["is a file", "--model stick2"]);
    let own = other.at("home/data/taiyi-search/models/b/image/preprocessor_config.json");
    for (optional, name) in [(other.at("stick2/image/preprocessor_config.json"), "stick2"), (own, "b")] {
        let bytes = fs::read(&optional).unwrap();
        fs::remove_file(&optional).unwrap();
        let verified = offline(&other, &hub, &["model", "verify", name]);
        assert!(verified.exited(1).text().contains("missing  "), "{}", verified.text());
        if name == "stick2" {
            offline(&other, &hub, &["model", "import", name, "--as", "c"])
                .refused(&["image/preprocessor_config.json is gone", "bring the folder again"]);
        }
        fs::write(optional, bytes).unwrap();
        offline(&other, &hub, &["model", "verify", name]).succeeded();
    }
    // A stick that has lost a byte on the way.
    let path = other.at("stick2/text/vocab.txt");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
    let before = files_below(&other.at("home"));
    offline(&other, &hub, &["model", "import", "stick2", "--as", "c"]).refused(&["vocab.txt", "damaged"]);
    assert_eq!(files_below(&other.at("home")), before);
    assert_eq!(hub.take_asked(), []);

    offline(&other, &hub, &["model", "remove", "我的"]).refused(&["--yes"]);
    offline(&other, &hub, &["model", "remove", "我的", "--yes"]).succeeded();
    offline(&other, &hub, &["embed", "--model", "我的", "--text", "老虎"]).refused(&["我的"]);
    offline(&other, &hub, &["model", "remove", "我的", "--yes"]).refused(&["nothing"]);
    offline(&other, &hub, &["model", "remove", "demo", "--yes"]).refused(&["part of the program"]);
}

#[test]
fn a_folder_with_pickles_alone_is_imported() {
    let s = Sandbox::new();
    let pickles = tiny_model().parent().unwrap().join("tiny-bin");
    copy_dir(&pickles, &s.at("brought"));
    s.run(&["model", "import", "brought/text/pytorch_model.bin", "--as", "x"])
        .refused(&["taiyi-search model import brought --as x"]);
    s.run(&["model", "import", "brought", "--as", "x"]).succeeded();
    let verified = s.run(&["model", "verify", "x", "--format", "json"]);
    let files = verified.succeeded().json()["files"].as_array().unwrap().clone();
    let pickled = files.iter().filter(|file| file["path"].as_str().unwrap().ends_with("pytorch_model.bin"));
    assert_eq!(pickled.count(), 2, "{files:?}");
    let shown = |model: &str| s.run(&["model", "show", model, "--format", "json"]).json()["weights"].clone();
    assert_eq!(shown("x"), shown(pickles.to_str().unwrap()));
}

#[test]
fn nothing_is_removed_while_it_is_brought() {
    let (s, hub) = (Sandbox::new(), hub());
    hub.set(|faults| faults.pause = Duration::from_millis(100));
    let fetching = Running::start(command(&s, &hub, &["model", "fetch", "cn-clip-b16"]));
    let is_part = |path: &PathBuf| path.to_string_lossy().ends_with("taiyi-part");
    while !files_below(&s.at("home")).iter().any(is_part) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let args = ["model", "remove", "cn-clip-b16", "--yes"];
    run(&s, &hub, &args).refused(&["another process fetches OFA-Sys/chinese-clip-vit-base-patch16", "wait"]);
    hub.set(|faults| faults.pause = Duration::ZERO);
    fetching.wait().succeeded();
    run(&s, &hub, &["model", "verify", "cn-clip-b16"]).succeeded();
    run(&s, &hub, &args).succeeded();
    assert!(!cache(&s).join("models--OFA-Sys--chinese-clip-vit-base-patch16").exists());

    // The same in the program's own folder, where imports have one lock for all.
    s.run(&["model", "import", tiny_model().to_str().unwrap(), "--as", "x"]).succeeded();
    let models = s.at("home/data/taiyi-search/models");
    let lock = fs::File::options().write(true).open(models.join(".import.lock")).unwrap();
    lock.try_lock().unwrap();
    s.run(&["model", "remove", "x", "--yes"]).refused(&["another process imports or removes"]);
    s.run(&["model", "verify", "x"]).succeeded();
    drop(lock);
    // What an ended process has left goes with the next.
    s.write("home/data/taiyi-search/models/.removed-y/config.json", b"{}");
    s.run(&["model", "remove", "x", "--yes"]).succeeded();
    assert_eq!(files_below(&models), [models.join(".import.lock")]);
}

#[test]
fn a_repository_of_two_models_stays_while_one_needs_it() {
    let (s, hub) = (Sandbox::new(), hub());
    for name in ["taiyi-326m", "taiyi-102m-vit-l"] {
        run(&s, &hub, &["model", "fetch", name]).succeeded();
    }
    let shared = cache(&s).join("models--openai--clip-vit-large-patch14");
    // What Python has fetched beyond it is Python's.
    let extra = cache(&s)
        .join("models--IDEA-CCNL--Taiyi-CLIP-Roberta-large-326M-Chinese/snapshots")
        .join(hub.commit("IDEA-CCNL/Taiyi-CLIP-Roberta-large-326M-Chinese"))
        .join("README.md");
    fs::write(&extra, "of Python").unwrap();
    let removed = run(&s, &hub, &["model", "remove", "taiyi-326m", "--yes"]);
    assert!(
        removed.succeeded().stderr.contains("clip-vit-large-patch14 stays: taiyi-102m-vit-l"),
        "{}",
        removed.stderr
    );
    assert_eq!(place_of(&s, &hub, "taiyi-326m")["here"], false);
    assert_eq!(place_of(&s, &hub, "taiyi-102m-vit-l")["here"], true);
    run(&s, &hub, &["model", "verify", "taiyi-102m-vit-l"]).succeeded();
    assert!(extra.is_file());
    run(&s, &hub, &["model", "remove", "taiyi-102m-vit-l", "--yes"]).succeeded();
    assert!(!shared.exists());
    let left: Vec<_> =
        files_below(&cache(&s)).into_iter().filter(|path| !path.ends_with("refs/main")).collect();
    assert!(left.iter().all(|path| *path == extra || path.to_string_lossy().contains(".locks")), "{left:?}");
}

#[test]
fn both_formats_of_weights_are_removed() {
    let (s, hub) = (Sandbox::new(), hub());
    run(&s, &hub, &["model", "fetch", "cn-clip-b16"]).succeeded();
    let snapshot = cache(&s)
        .join(format!("models--{}", CHINESE_CLIP.replace('/', "--")))
        .join("snapshots")
        .join(hub.commit(CHINESE_CLIP));
    // As an older huggingface_hub leaves them beside the newer format.
    for name in ["pytorch_model.bin", "tokenizer.json"] {
        fs::write(snapshot.join(name), vec![1; 1000]).unwrap();
    }
    run(&s, &hub, &["model", "remove", "cn-clip-b16", "--yes"]).succeeded();
    assert!(!snapshot.exists(), "{:?}", files_below(&snapshot));
}

#[test]
fn an_indexs_model_is_found_where_it_has_moved_to() {
    let s = Sandbox::new();
    s.paint("1.png", 1);
    let run = |args: &[&str]| {
        let mut command = s.command();
        command.env_remove("TAIYI_MODEL").args(args);
        finish(command, b"")
    };
    // Where its name alone does not lead from here.
    copy_dir(&tiny_model(), &s.at("kept/m"));
    run(&["index", "photos", "--model", "kept/m"]).succeeded();
    run(&["query", "猫"]).succeeded();
    // Its old folder is there still, with nothing in it or with another model.
    copy_dir(&s.at("kept/m"), &s.at("kept/moved"));
    fs::remove_dir_all(s.at("kept/m")).unwrap();
    fs::create_dir(s.at("kept/m")).unwrap();
    run(&["query", "猫"]).refused(&["the index was built with m (", "--model DIR", "text"]);
    run(&["model", "import", "kept/moved", "--as", "m"]).succeeded();
    run(&["query", "猫"]).succeeded();
    run(&["model", "remove", "m", "--yes"]).succeeded();
    run(&["index", "photos", "--model", "kept/moved"]).succeeded();
    fs::remove_dir_all(s.at("kept/moved")).unwrap();
    copy_dir(&tiny_model().parent().unwrap().join("tiny-cn-clip"), &s.at("kept/moved"));
    run(&["query", "猫"]).refused(&["the index was built with m (", "--model DIR", "moved holds m ("]);
    run(&["model", "import", tiny_model().to_str().unwrap(), "--as", "m"]).succeeded();
    run(&["query", "猫"]).succeeded();
    run(&["query", "猫"]).succeeded();
}

#[test]
fn a_corrupted_blob_is_found() {
    let (s, hub) = (Sandbox::new(), hub());
    run(&s, &hub, &["model", "fetch", "cn-clip-b16"]).succeeded();
    let weights =
        files_below(&cache(&s)).into_iter().find(|path| path.ends_with("model.safetensors")).unwrap();
    let blob = weights.canonicalize().unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    fs::write(&blob, bytes).unwrap();
    let found = run(&s, &hub, &["model", "verify", "cn-clip-b16"]);
    assert!(
        found.exited(1).text().contains("damaged") && found.text().contains("model remove"),
        "{}",
        found.text()
    );
    run(&s, &hub, &["model", "fetch", "cn-clip-b16", "--to", "out"]).refused(&["damaged"]);
    assert!(!s.at("out/model.safetensors").exists(), "nothing damaged has a model's name");
    run(&s, &hub, &["model", "remove", "cn-clip-b16", "--yes"]).succeeded();
    run(&s, &hub, &["model", "fetch", "cn-clip-b16"]).succeeded();
    run(&s, &hub, &["model", "verify", "cn-clip-b16"]).succeeded();
    let by_hand = s.run(&["model", "verify", tiny_model().to_str().unwrap()]);
    assert!(by_hand.succeeded().text().contains("no hash"), "{}", by_hand.text());
    assert!(s.run(&["model", "verify", "demo"]).succeeded().text().contains("in order"));
}

#[test]
fn names_that_are_none() {
    let (s, hub) = (Sandbox::new(), hub());
    run(&s, &hub, &["model", "fetch", "taiyi-9000"]).refused(&["taiyi-9000", "cn-clip-h14"]);
    run(&s, &hub, &["model", "fetch", "demo"]).refused(&["part of the program"]);
    run(&s, &hub, &["model", "show", "taiyi-9000"]).refused(&["taiyi-9000", "model list"]);
    run(&s, &hub, &["model", "fetch", "taiyi-102m", "--mirror", "file:///etc"]).refused(&["--mirror"]);
    for mirror in ["https://li:s3cret@mirror.cn", "li:s3c/ret@mirror.cn"] {
        let refused = run(&s, &hub, &["model", "fetch", "taiyi-102m", "--mirror", mirror]);
        refused.refused(&["mirror.cn", "no user or password is taken", "HF_TOKEN"]);
        assert!(!refused.stderr.contains("s3c"), "{}", refused.stderr);
    }
    assert_eq!(hub.take_asked(), []);
}

/// 400 MB, cut twice: `cargo test -p taiyi-search --test end_to_end full_size -- --ignored --nocapture`.
#[test]
#[ignore = "takes 400 MB of disk and of memory"]
fn a_fetch_at_full_size() {
    const BYTES: usize = 400_000_000;
    let (s, hub) = (Sandbox::new(), StandIn::start());
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let weights: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    })
    .take(BYTES / 8)
    .flatten()
    .collect();
    let blob = blob_name("pytorch_model.bin", &weights);
    let small = tiny_model().join("text");
    for name in ["config.json", "vocab.txt"] {
        hub.add(TEXT, name, fs::read(small.join(name)).unwrap());
    }
    hub.add(TEXT, "pytorch_model.bin", weights);
    hub.add_folder(IMAGE, &tiny_model().join("image"));
    // Whole are the two small files; the large one ends after 150 MB, and again after 130 MB more.
    hub.set(|faults| faults.cuts = [usize::MAX, usize::MAX, 150_000_000, 130_000_000].into());
    let start = std::time::Instant::now();
    let running = Running::start(command(&s, &hub, &["model", "fetch", "taiyi-102m"]));
    let status = format!("/proc/{}/status", running.pid());
    let peak = std::thread::spawn(move || {
        let mut peak = String::new();
        while let Ok(text) = fs::read_to_string(&status) {
            match text.lines().find(|line| line.starts_with("VmHWM")) {
                Some(line) => line.clone_into(&mut peak),
                None => break,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        peak
    });
    let fetched = running.wait();
    fetched.succeeded();
    let took = start.elapsed();
    let asked = hub.take_asked();
    let bodies = asked.iter().filter(|asked| asked.is_cdn);
    let ranges: Vec<_> = bodies.filter_map(|asked| asked.range.as_deref()).collect();
    assert_eq!(ranges, ["bytes=150000000-", "bytes=280000000-"]);
    let path = files_below(&cache(&s)).into_iter().find(|path| path.ends_with(&blob)).unwrap();
    assert_eq!(blob_name("pytorch_model.bin", &fs::read(path).unwrap()), blob);
    println!("{BYTES} bytes, ranges {ranges:?}, {took:?}, {}\n{}", peak.join().unwrap(), fetched.stderr);
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    if !tmux::is_there() {
        return;
    }
    let (s, hub) = (Sandbox::new(), hub());
    s.paint("1.png", 1);
    let photos = s.at("photos");
    let line = format!("taiyi index '{}'", photos.display());
    let question = "model taiyi-102m is not here. Fetch it now";

    let terminal = Start::line(&line).env("HF_ENDPOINT", &hub.url()).run(&s);
    terminal.wait_for_text(&[question, &hub.url(), "[Y/n]"]);
    terminal.send_text("n");
    terminal.send_keys(&["Enter"]);
    let screen = terminal.left_with(2);
    assert!(screen.contains("taiyi-search model fetch taiyi-102m"), "{screen}");
    assert_eq!(hub.take_asked(), [], "nothing was fetched");
    drop(terminal);

    // Somebody may have put a password there, which has no place on a screen.
    let terminal = Start::line(&line).env("HF_ENDPOINT", "https://li:s3cret@mirror.cn").run(&s);
    terminal.wait_for_text(&[question, "from mirror.cn?", "[Y/n]"]);
    terminal.send_text("n");
    terminal.send_keys(&["Enter"]);
    let screen = terminal.left_with(2);
    assert!(!screen.contains("s3cret"), "{screen}");
    drop(terminal);

    // Ctrl-C in the middle is Ctrl-C as elsewhere.
    hub.set(|faults| faults.pause = Duration::from_millis(200));
    let terminal = Start::line(&line).env("HF_ENDPOINT", &hub.url()).run(&s);
    terminal.wait_for_text(&[question, "[Y/n]"]);
    terminal.send_keys(&["Enter"]);
    while hub.take_asked().iter().all(|asked| !asked.is_cdn) {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal("INT", terminal.pid());
    let screen = terminal.left_with(130);
    assert!(screen.contains("goes on from here") && !screen.contains("error"), "{screen}");
    hub.set(|faults| faults.pause = Duration::ZERO);
    drop(terminal);

    // Enter alone is a yes.
    let terminal = Start::line(&line).env("HF_ENDPOINT", &hub.url()).run(&s);
    terminal.wait_for_text(&[question, "[Y/n]"]);
    terminal.send_keys(&["Enter"]);
    terminal.left_with(0);
    assert_eq!(place_of(&s, &hub, "taiyi-102m")["here"], true);
    assert_eq!(s.status()["model"]["name"], "taiyi-102m");
}
