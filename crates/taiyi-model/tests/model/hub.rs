//! Fetching from a hub on loopback that does everything a hub and a network do, right and wrong.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taiyi_model::hub::{
    Authorities, FetchEvent, FetchProgress, HubError, HubOptions, Login, Proxies, fetch, fetch_to,
};
use taiyi_model::{KnownModel, ModelFolder, ModelPlace, known_model};
use tempfile::TempDir;

use crate::stand_in::{ForwardProxy, StandIn, authority, blob_name};
use crate::support::data;

const WEIGHTS: &str = "model.safetensors";

/// A hub that serves the tiny models under the names of published ones, and an empty cache.
struct Scene {
    hub: StandIn,
    home: TempDir,
    told: Told,
    cancel: AtomicBool,
}

#[derive(Default)]
struct Told {
    events: RefCell<Vec<String>>,
    /// It is stopped when more bytes than these are here.
    cancel_after: Cell<Option<u64>>,
}

/// Ends a fetch in the middle.
struct Stopper<'a>(&'a Told, &'a AtomicBool);

impl FetchProgress for Stopper<'_> {
    fn event(&self, event: FetchEvent<'_>) {
        if let FetchEvent::Bytes { done } = event {
            if self.0.cancel_after.get().is_some_and(|after| done > after) {
                self.1.store(true, Ordering::Relaxed);
            }
        } else {
            self.0.events.borrow_mut().push(format!("{event:?}"));
        }
    }
}

fn model() -> &'static KnownModel {
    known_model("taiyi-102m").unwrap()
}

fn chinese_clip() -> &'static KnownModel {
    known_model("cn-clip-b16").unwrap()
}

impl Scene {
    fn new() -> Self {
        let hub = StandIn::start();
        hub.add_folder(model().text_repository, &data("tiny").join("text"));
        hub.add_folder(model().image_repository, &data("tiny").join("image"));
        hub.add_folder(chinese_clip().text_repository, &data("tiny-cn-clip"));
        // What nobody needs stays where it is.
        hub.add(model().image_repository, "tf_model.h5", vec![1; 1000]);
        hub.add(model().image_repository, "pytorch_model.bin", vec![2; 1000]);
        Self {
            hub,
            home: tempfile::tempdir().unwrap(),
            told: Told::default(),
            cancel: AtomicBool::new(false),
        }
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub")
    }

    fn options(&self) -> HubOptions {
        HubOptions {
            endpoint: self.hub.url(),
            cache_dir: self.cache(),
            is_offline: false,
            login: Login::Anonymous,
            proxies: Proxies::default(),
            authorities: Authorities::OfSystem,
            silence: Duration::from_secs(20),
        }
    }

    fn fetch_by(&self, options: &HubOptions) -> Result<ModelPlace, HubError> {
        fetch(model(), options, &Stopper(&self.told, &self.cancel), &self.cancel)
    }

    fn fetch(&self) -> Result<ModelPlace, HubError> {
        self.fetch_by(&self.options())
    }

    #[track_caller]
    fn fails(&self, parts: &[&str]) -> String {
        let error = self.fetch().unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
        assert!(!error.contains('\n') && !error.ends_with('.'), "{error:?}");
        assert_eq!(model().place_in_cache(&self.cache()), None, "nothing is half there");
        error
    }

    /// Opens what was fetched, which has to be the tiny model.
    #[track_caller]
    fn is_the_model(&self, place: &ModelPlace) {
        let folder = ModelFolder::open_place(place).unwrap();
        let original = ModelFolder::open(&data("tiny")).unwrap();
        assert_eq!(folder.id("x", None).unwrap(), original.id("x", None).unwrap());
    }

    /// Ranges of the bodies that were asked for at the second port.
    fn ranges(&self) -> Vec<Option<String>> {
        let asked = self.hub.take_asked().into_iter();
        asked.filter(|asked| asked.is_cdn && asked.method == "GET").map(|asked| asked.range).collect()
    }
}

fn below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_fetch_brings_what_is_needed_into_the_shared_layout() {
    let s = Scene::new();
    let place = s.fetch().unwrap();
    s.is_the_model(&place);
    let commit = s.hub.commit(model().image_repository);
    let repository = s.cache().join("models--openai--clip-vit-base-patch32");
    let names = ["config.json", "model.safetensors", "preprocessor_config.json"];
    let mut expected = vec!["refs/main".to_owned()];
    expected.extend(names.map(|name| format!("snapshots/{commit}/{name}")));
    for name in names {
        let bytes = fs::read(data("tiny").join("image").join(name)).unwrap();
        expected.push(format!("blobs/{}", blob_name(name, &bytes)));
    }
    expected.sort();
    assert_eq!(below(&repository), expected);
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), commit);
    if cfg!(unix) {
        let link = fs::read_link(repository.join("snapshots").join(&commit).join(WEIGHTS)).unwrap();
        assert!(link.starts_with("../../blobs"), "{}", link.display());
    }
    let asked = s.hub.take_asked();
    assert!(asked.iter().all(|asked| asked.token.is_none()));
    assert!(asked.iter().all(|asked| !asked.path.contains("h5") && !asked.path.contains("image/pytorch")));
    // All of one commit, but for the list that tells it.
    let of_main = asked.iter().filter(|asked| asked.path.contains("/resolve/main/")).count();
    assert_eq!(of_main, 0);
    // Once more asks nobody.
    assert_eq!(s.fetch().unwrap(), place);
    assert_eq!(s.hub.take_asked(), []);
}

#[test]
fn one_repository_is_one_folder() {
    let s = Scene::new();
    let place = fetch(chinese_clip(), &s.options(), &Stopper(&s.told, &s.cancel), &s.cancel).unwrap();
    assert!(matches!(place, ModelPlace::Folder(_)));
    assert_eq!(ModelFolder::open_place(&place).unwrap().files().len(), 4);
}

#[test]
fn without_an_api_files_are_found_by_asking() {
    let s = Scene::new();
    s.hub.set(|faults| faults.has_no_api = true);
    let place = s.fetch().unwrap();
    s.is_the_model(&place);
    s.hub.set(|faults| faults.has_no_api = false);
    for listing in ["<html>", "{}", "[]", r#"{"sha":"../../../x","siblings":[]}"#, "{\"sha\":1}"] {
        let s = Scene::new();
        s.hub.set(|faults| faults.listing = Some(listing.to_owned()));
        s.is_the_model(&s.fetch().unwrap());
    }
}

#[test]
fn names_in_the_list_go_nowhere() {
    let s = Scene::new();
    let listing =
        r#"{"sha":"0123456789012345678901234567890123456789","siblings":[{"rfilename":"../../x"}]}"#;
    s.hub.set(|faults| faults.listing = Some(listing.to_owned()));
    s.fails(&["config.json", "not on http://127.0.0.1"]);
    assert_eq!(below(s.home.path()), Vec::<String>::new());
}

#[test]
fn a_pickle_does_where_there_is_nothing_better() {
    let s = Scene::new();
    let hub = StandIn::start();
    hub.add_folder(model().text_repository, &data("tiny-bin").join("text"));
    hub.add_folder(model().image_repository, &data("tiny-bin").join("image"));
    for has_no_api in [false, true] {
        hub.set(|faults| faults.has_no_api = has_no_api);
        let home = tempfile::tempdir().unwrap();
        let options = HubOptions { endpoint: hub.url(), cache_dir: home.path().to_owned(), ..s.options() };
        let place = s.fetch_by(&options).unwrap();
        // It has no preprocessor_config.json either.
        assert_eq!(ModelFolder::open_place(&place).unwrap().files().len(), 5);
    }
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let s = Scene::new();
    // Two large files: the first is cut twice, the second once.
    s.hub.set(|faults| faults.cuts = [3270, 109_540, 100_000, 200_000].into());
    s.is_the_model(&s.fetch().unwrap());
    let ranges = s.ranges();
    assert_eq!(ranges.iter().flatten().collect::<Vec<_>>(), ["bytes=100000-", "bytes=300000-"]);
    assert!(s.told.events.borrow().iter().any(|event| event.contains("Retrying")));
}

#[test]
fn a_later_run_goes_on_and_a_damaged_part_is_found() {
    let s = Scene::new();
    s.told.cancel_after.set(Some(300_000));
    assert!(matches!(s.fetch(), Err(HubError::Cancelled)));
    assert_eq!(model().place_in_cache(&s.cache()), None);
    s.hub.take_asked();
    s.cancel.store(false, Ordering::Relaxed);
    s.told.cancel_after.set(None);
    let parts: Vec<_> = below(&s.cache()).into_iter().filter(|name| name.ends_with("taiyi-part")).collect();
    assert_eq!(parts.len(), 1, "{parts:?}");
    let part = s.cache().join(&parts[0]);
    let length = fs::metadata(&part).unwrap().len();
    assert!(length > 0);
    let mut bytes = fs::read(&part).unwrap();
    bytes[0] ^= 1;
    fs::write(&part, bytes).unwrap();
    s.is_the_model(&s.fetch().unwrap());
    let ranges = s.ranges();
    // Gone on, found wrong, and fetched anew; then the other file.
    assert_eq!(ranges, [Some(format!("bytes={length}-")), None, None]);
    assert!(below(&s.cache()).iter().all(|name| !name.ends_with("taiyi-part")));
}

#[test]
fn a_part_that_is_too_long_or_just_whole() {
    let bytes = fs::read(data("tiny").join("image").join(WEIGHTS)).unwrap();
    for (extra, bodies) in [(1, 2), (0, 1)] {
        let s = Scene::new();
        let blobs = s.cache().join("models--openai--clip-vit-base-patch32").join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(format!("{}.taiyi-part", blob_name(WEIGHTS, &bytes)));
        fs::write(part, [bytes.as_slice(), &vec![0; extra]].concat()).unwrap();
        s.is_the_model(&s.fetch().unwrap());
        assert_eq!(s.ranges().len(), bodies);
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let s = Scene::new();
    s.hub.set(|faults| {
        faults.knows_no_ranges = true;
        faults.cuts = [3270, 109_540, 100_000].into();
    });
    s.is_the_model(&s.fetch().unwrap());
    // It is given up when it never gets further.
    let s = Scene::new();
    s.hub.set(|faults| {
        faults.knows_no_ranges = true;
        faults.cuts = [3270, 109_540].into_iter().chain([1000; 20]).collect();
    });
    s.fails(&[WEIGHTS, "1000 of 1430192 bytes"]);
}

#[test]
fn a_lie_about_the_hash_is_found_and_removed() {
    let s = Scene::new();
    s.hub.set(|faults| faults.changed = vec![WEIGHTS.into()]);
    s.fails(&["arrived damaged", WEIGHTS, "removed"]);
    assert!(below(&s.cache()).iter().all(|name| !name.ends_with("taiyi-part")));
    let s = Scene::new();
    s.hub.set(|faults| faults.changed = vec!["vocab.txt".into()]);
    s.fails(&["arrived damaged", "vocab.txt"]);
    // The same lie after a broken connection is told after a few tries.
    let s = Scene::new();
    s.hub.set(|faults| {
        faults.changed = vec![WEIGHTS.into()];
        faults.cuts = [3270, 109_540, 5000].into();
    });
    s.fails(&["arrived damaged", WEIGHTS]);
}

#[test]
fn trouble_that_passes_is_waited_out() {
    let s = Scene::new();
    s.hub.set(|faults| {
        faults
            .statuses
            .insert("config.json".into(), [(503, "X: y"), (429, "Retry-After: 0"), (500, "X: y")].into());
        faults.statuses.insert(WEIGHTS.into(), [(502, "X: y")].into());
    });
    s.is_the_model(&s.fetch().unwrap());
    let s = Scene::new();
    s.hub.set(|faults| {
        faults.statuses.insert("config.json".into(), [(429, "Retry-After: 3600")].into());
    });
    s.fails(&["429", "3600 s", "HF_TOKEN"]);
    let s = Scene::new();
    s.hub.set(|faults| {
        faults.statuses.insert("config.json".into(), [(503, "Retry-After: 0"); 9].into());
    });
    s.fails(&["503", "--mirror"]);
}

#[test]
fn refusals_say_what_helps() {
    let s = Scene::new();
    s.hub.set(|faults| faults.token = Some("secret".into()));
    s.fails(&["401", "HF_TOKEN", model().text_repository]);
    let given = |token: &str| HubOptions { login: Login::Given(token.into()), ..s.options() };
    let error = s.fetch_by(&given("wrong")).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN") && error.contains("not valid") && !error.contains("wrong"), "{error}");
    s.hub.set(|faults| faults.is_gated = true);
    s.fails(&["403", "ask for access on http://127.0.0.1", "HF_TOKEN"]);
    s.hub.take_asked();
    s.is_the_model(&s.fetch_by(&given(" secret\n")).unwrap());
    let asked = s.hub.take_asked();
    assert!(asked.iter().all(|asked| asked.token.is_some() != asked.is_cdn), "no other host gets the token");
    let elsewhere = HubOptions { cache_dir: s.home.path().join("2"), ..given("a\nb") };
    assert!(s.fetch_by(&elsewhere).unwrap_err().to_string().contains("HF_TOKEN"));
}

#[test]
fn a_login_at_hugging_face_is_nothing_to_a_mirror() {
    let s = Scene::new();
    s.hub.set(|faults| faults.token = Some("secret".into()));
    let found = Login::Found { token: "secret".into(), path: "/home/li/token".into() };
    for (login, told) in
        [(found, "/home/li/token was kept back"), (Login::Disabled, "DISABLE_IMPLICIT_TOKEN")]
    {
        let error = s.fetch_by(&HubOptions { login, ..s.options() }).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("HF_TOKEN"), "{error}");
    }
    assert!(s.hub.take_asked().iter().all(|asked| asked.token.is_none()));
}

/// Speaks TLS with the stand-in, whose authority has to be named.
fn by_tls(s: &Scene) -> HubOptions {
    let authorities = Authorities::Named { file: Some(authority()), dir: None };
    HubOptions { endpoint: s.hub.https_url(), authorities, ..s.options() }
}

#[test]
fn https_needs_an_authority_that_is_believed() {
    let s = Scene::new();
    let unknown = HubOptions { authorities: Authorities::OfSystem, ..by_tls(&s) };
    let error = s.fetch_by(&unknown).unwrap_err().to_string();
    for part in ["https://127.0.0.1", "not trusted (UnknownIssuer)", "SSL_CERT_FILE"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(s.hub.take_asked(), []);
    let nothing = Authorities::Named { file: Some(data("README.md")), dir: None };
    let error = s.fetch_by(&HubOptions { authorities: nothing, ..by_tls(&s) }).unwrap_err().to_string();
    assert!(error.contains("README.md") && error.contains("SSL_CERT_FILE"), "{error}");
    let absent = Authorities::Named { file: None, dir: Some("/nonexistent/certificates".into()) };
    let error = s.fetch_by(&HubOptions { authorities: absent, ..by_tls(&s) }).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/certificates"), "{error}");
    s.is_the_model(&s.fetch_by(&by_tls(&s)).unwrap());
    assert!(s.hub.take_asked().iter().all(|asked| asked.is_tls));
}

#[test]
fn a_hub_that_moves_on_to_https_is_followed_and_never_back() {
    for has_no_api in [false, true] {
        let s = Scene::new();
        s.hub.set(|faults| {
            faults.only_by = Some("https");
            faults.token = Some("secret".into());
            faults.has_no_api = has_no_api;
        });
        let login = Login::Given("secret".into());
        let options = HubOptions { endpoint: s.hub.url(), login, ..by_tls(&s) };
        s.is_the_model(&s.fetch_by(&options).unwrap());
        let asked = s.hub.take_asked();
        assert!(asked.iter().filter(|asked| asked.is_tls).all(|asked| asked.token.is_some() != asked.is_cdn));
        assert!(asked.iter().any(|asked| !asked.is_tls), "it was asked by plain http first");
    }
    let s = Scene::new();
    s.hub.set(|faults| faults.only_by = Some("http"));
    let error = s.fetch_by(&HubOptions { login: Login::Given("secret".into()), ..by_tls(&s) }).unwrap_err();
    assert!(error.to_string().contains("from https to plain http"), "{error}");
    assert!(s.hub.take_asked().iter().all(|asked| asked.is_tls), "nothing was asked by plain http");
}

#[test]
fn what_is_not_there_is_named() {
    let s = Scene::new();
    let empty = StandIn::start();
    let nowhere = HubOptions { endpoint: empty.url(), ..s.options() };
    for has_no_api in [false, true] {
        empty.set(|faults| faults.has_no_api = has_no_api);
        let error = s.fetch_by(&nowhere).unwrap_err().to_string();
        assert!(error.contains(model().text_repository) && error.contains("mirror"), "{error}");
    }
    empty.set(|faults| faults.has_no_api = false);
    empty.add(model().text_repository, "config.json", b"{}".to_vec());
    let error = s.fetch_by(&nowhere).unwrap_err().to_string();
    assert!(error.contains("vocab.txt nor tokenizer.json"), "{error}");
    s.hub.set(|faults| faults.absent = vec!["vocab.txt".into()]);
    s.fails(&["vocab.txt"]);
}

#[test]
fn no_network_is_said_with_a_way_out() {
    let s = Scene::new();
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = HubOptions { endpoint: format!("http://127.0.0.1:{port}"), ..s.options() };
    let error = s.fetch_by(&nobody).unwrap_err().to_string();
    for part in ["cannot reach", "HF_ENDPOINT", "hf-mirror.com", "model import"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let offline = HubOptions { is_offline: true, ..s.options() };
    let error = s.fetch_by(&offline).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE") && error.contains("model import"), "{error}");
    assert_eq!(s.hub.take_asked(), []);
    s.fetch().unwrap();
    s.fetch_by(&offline).unwrap();
    let wrong =
        HubOptions { endpoint: "hf-mirror.com".into(), cache_dir: s.home.path().join("x"), ..s.options() };
    assert!(s.fetch_by(&wrong).unwrap_err().to_string().contains("https://huggingface.co"));
}

/// Nothing but weights is ever read whole unless it is small, so nothing else is fetched either.
#[test]
fn a_small_file_that_is_large_is_not_fetched() {
    let s = Scene::new();
    s.hub.add(model().text_repository, "config.json", vec![b' '; (16 << 20) + 1]);
    s.fails(&["config.json", "announces 16777217 bytes", "another mirror"]);
    assert!(s.hub.take_asked().iter().all(|asked| asked.method == "HEAD" || asked.path.contains("/api/")));
}

#[test]
fn odd_answers_are_no_model() {
    let odd = |change: fn(&mut crate::stand_in::Faults), parts: &[&str]| {
        let s = Scene::new();
        s.hub.set(change);
        s.fails(parts);
    };
    odd(|faults| faults.is_login_page = true, &["login page", "X-Repo-Commit"]);
    odd(|faults| faults.redirect = Some("file:///etc/passwd".into()), &["redirects to nowhere"]);
    odd(|faults| faults.redirect = Some("ftp://127.0.0.1/x".into()), &["redirects to nowhere"]);
    odd(|faults| faults.extra_header = "Content-Encoding: gzip\r\n".into(), &["encoded"]);
    odd(|faults| faults.length_off_by = 5, &["config.json"]);
    odd(|faults| faults.length_off_by = -5, &["config.json", "damaged"]);
    odd(|faults| faults.commit = Some("f".repeat(40)), &["commit"]);
    odd(|faults| faults.commit = Some("../../../../tmp".into()), &["X-Repo-Commit"]);
    odd(|faults| faults.extra_header = format!("X: {}\r\n", "y".repeat(1 << 20)), &["cannot reach"]);
    let names = [model().text_repository, model().image_repository];
    let s = Scene::new();
    s.hub.set(|faults| faults.renamed = names.map(|name| (name.to_owned(), name.to_owned())).into());
    s.fails(&["more than 10 redirects"]);
}

#[test]
fn a_renamed_repository_is_followed() {
    let s = Scene::new();
    s.hub.add_folder("new/name", &data("tiny").join("text"));
    s.hub.set(|faults| {
        faults.has_no_api = true;
        faults.renamed = [(model().text_repository.to_owned(), "new/name".to_owned())].into();
    });
    s.is_the_model(&s.fetch().unwrap());
}

#[test]
fn proxies_are_used_and_excepted() {
    let s = Scene::new();
    let proxy = ForwardProxy::start();
    let through = |except: &str| Proxies {
        http: Some(format!("http://127.0.0.1:{}", proxy.port)),
        https: None,
        except: except.to_owned(),
    };
    let excepted = HubOptions { proxies: through("127.0.0.1"), ..s.options() };
    s.is_the_model(&s.fetch_by(&excepted).unwrap());
    assert!(proxy.tunnels.lock().unwrap().is_empty());
    let elsewhere = HubOptions { cache_dir: s.home.path().join("2"), proxies: through(""), ..s.options() };
    s.is_the_model(&s.fetch_by(&elsewhere).unwrap());
    let hosts = proxy.tunnels.lock().unwrap().clone();
    assert!(hosts.contains(&format!("127.0.0.1:{}", s.hub.port)) && hosts.len() > 5, "{hosts:?}");
    let broken = Proxies { http: Some("socks9://x".into()), ..Proxies::default() };
    let broken = HubOptions { cache_dir: s.home.path().join("3"), proxies: broken, ..s.options() };
    assert!(s.fetch_by(&broken).unwrap_err().to_string().contains("HTTPS_PROXY"));
}

#[test]
fn a_dead_proxy_is_not_taken_for_a_dead_hub() {
    let s = Scene::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "socks5"] {
        let dead =
            Proxies { http: Some(format!("{scheme}://li:s3cret@127.0.0.1:{port}")), ..Proxies::default() };
        let error = s.fetch_by(&HubOptions { proxies: dead, ..s.options() }).unwrap_err().to_string();
        let proxy = format!("through the proxy 127.0.0.1:{port} of HTTP_PROXY or ALL_PROXY: ");
        assert!(error.contains(&proxy) && error.contains("NO_PROXY"), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("mirror"), "{error}");
        assert!(s.told.events.borrow().iter().all(|event| !event.contains("s3cret")));
    }
    assert_eq!(s.hub.take_asked(), []);
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let s = Scene::new();
    s.hub.set(|faults| faults.pause = Duration::from_secs(3600));
    let options = HubOptions { silence: Duration::from_millis(200), ..s.options() };
    let error = s.fetch_by(&options).unwrap_err().to_string();
    assert!(error.contains("config.json") || error.contains("in time"), "{error}");
}

#[test]
fn a_folder_to_carry_away() {
    let s = Scene::new();
    let dir = s.home.path().join("stick");
    let to = |options: &HubOptions| fetch_to(model(), &dir, options, &Stopper(&s.told, &s.cancel), &s.cancel);
    let offline = HubOptions { is_offline: true, ..s.options() };
    assert!(matches!(to(&offline), Err(HubError::Offline { .. })));
    assert!(!dir.exists(), "nothing was begun");
    s.told.cancel_after.set(Some(300_000));
    assert!(matches!(to(&s.options()), Err(HubError::Cancelled)));
    s.cancel.store(false, Ordering::Relaxed);
    s.told.cancel_after.set(None);
    // A run that was ended while it put files into place.
    let text = dir.join("text");
    fs::create_dir(&text).unwrap();
    fs::copy(data("tiny").join("text/vocab.txt"), text.join("vocab.txt")).unwrap();
    to(&s.options()).unwrap();
    let expected = [
        "image/config.json",
        "image/model.safetensors",
        "image/preprocessor_config.json",
        "taiyi-model.json",
        "text/config.json",
        "text/model.safetensors",
        "text/vocab.txt",
    ];
    assert_eq!(below(&dir), expected);
    s.is_the_model(&ModelPlace::Folder(dir.clone()));
    assert!(!s.cache().exists(), "nothing is kept twice");
    assert!(to(&s.options()).unwrap_err().to_string().contains("not empty"));

    // From the cache, without network.
    s.fetch().unwrap();
    fs::remove_dir_all(&dir).unwrap();
    to(&offline).unwrap();
    assert_eq!(below(&dir), expected);
}

/// A disk without links, like that of most sticks, would hold everything twice.
#[test]
fn a_folder_to_carry_away_takes_no_second_copy() {
    let s = Scene::new();
    // What is no model leaves its traces for the next try.
    s.hub.add(model().text_repository, "config.json", b"{}".to_vec());
    let dir = s.home.path().join("stick");
    let error = fetch_to(model(), &dir, &s.options(), &Stopper(&s.told, &s.cancel), &s.cancel).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
    let left = below(&dir);
    assert_eq!(left.iter().filter(|path| path.ends_with(WEIGHTS)).count(), 2, "{left:?}");
    assert!(left.iter().all(|path| !path.contains("snapshots") && !path.contains("blobs")), "{left:?}");
}
