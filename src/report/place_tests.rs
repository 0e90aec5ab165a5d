//! Where failures are, in the order of trust.

use super::super::testing::{junit, read};
use super::super::{Collector, Index, Limits, Location, Outcome, Report};

const FILES: &[&str] = &[
    "app/calc.py",
    "tests/conftest.py",
    "tests/test_calc.py",
    "tests/unit/test_deep.py",
    "src/lib.rs",
    "web/a.test.ts",
    "pkg/one/x_test.go",
    "pkg/two/x_test.go",
    "vendor/lib/v.py",
    "core/src/test/java/com/acme/FooTest.java",
    "other/src/test/java/com/beta/FooTest.java",
    "spec/x_spec.rb",
    "Makefile",
    "cpp/a.cc",
    "test/shop/cart_test.exs",
    "net/TillTests.cs",
    "kt/cart/CartTest.kt",
    "other/CartTest.kt",
];

fn place_of(case: &str, attributes: &str) -> Option<(String, u32)> {
    let mut report = junit(&format!(
        "<testsuites><testsuite {attributes}>{case}</testsuite></testsuites>"
    ));
    report.locate(&Index::new(FILES.iter().map(|path| (*path).to_owned())));
    report.tests[0]
        .location
        .clone()
        .map(|Location { path, line }| (path, line))
}

fn place(case: &str) -> Option<(String, u32)> {
    place_of(case, "name='s'")
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what it is compared with is an option"
)]
fn at(path: &str, line: u32) -> Option<(String, u32)> {
    Some((path.to_owned(), line))
}

#[test]
fn the_failures_own_place_comes_first() {
    let case = "<testcase name='x' file='tests/test_calc.py' line='1'><failure file='/w/app/calc.py' line='7'>tests/test_calc.py:9: E</failure></testcase>";
    assert_eq!(place(case), at("app/calc.py", 7));
}

#[test]
fn then_the_innermost_frame_that_is_in_the_repository() {
    let case = |text: &str| {
        format!(
            "<testcase name='x' file='tests/test_calc.py' line='1'><failure>{text}</failure></testcase>"
        )
    };
    let python = "tests/test_calc.py:9: \n_ _ _\napp/calc.py:3: \n_ _ _\n/usr/lib/python3.12/json/decoder.py:355: JSONDecodeError";
    assert_eq!(place(&case(python)), at("app/calc.py", 3));
    let foreign_last =
        "tests/test_calc.py:9: \n/w/.venv/lib/python3/site-packages/app/calc.py:3: E";
    assert_eq!(place(&case(foreign_last)), at("tests/test_calc.py", 9));
    assert_eq!(
        place(&case("vendor/lib/v.py:3: E")),
        at("vendor/lib/v.py", 3)
    );
    let traceback = "Traceback (most recent call last):\n  File \"/w/tests/test_calc.py\", line 5, in t\n  File \"/w/app/calc.py\", line 2, in f\nE: x";
    assert_eq!(place(&case(traceback)), at("app/calc.py", 2));
    assert_eq!(
        place(&case("thread 't' panicked at src/lib.rs:4:5:\nboom")),
        at("src/lib.rs", 4)
    );
    assert_eq!(
        place(&case(
            "  at f (/w/node_modules/web/a.test.ts:1:1)\n  at g (/w/web/a.test.ts:3:14)"
        )),
        at("web/a.test.ts", 3)
    );
    assert_eq!(
        place(&case("# ./spec/x_spec.rb:12:in `b'")),
        at("spec/x_spec.rb", 12)
    );
    let java = "at org.junit.Assert.fail(Assert.java:89)\n at com.acme.FooTest.t(FooTest.java:12)\n at com.beta.FooTest.t(FooTest.java:13)";
    assert_eq!(
        place(&case(java)),
        at("core/src/test/java/com/acme/FooTest.java", 12)
    );
}

#[test]
fn an_error_in_a_fixture_is_at_the_fixture() {
    let case = "<testcase classname='tests.test_calc' name='x'><error message='failed on setup'>    @pytest.fixture\n    def db():\n&gt;       raise RuntimeError\nE       RuntimeError\n\ntests/conftest.py:6: RuntimeError</error></testcase>";
    assert_eq!(place_of(case, "name='pytest'"), at("tests/conftest.py", 6));
}

#[test]
fn a_file_of_go_is_in_the_folder_of_its_package() {
    let case = |class: &str| {
        format!(
            "<testcase classname='{class}' name='x'><failure>    x_test.go:12: no</failure></testcase>"
        )
    };
    assert_eq!(
        place(&case("github.com/a/b/pkg/two")),
        at("pkg/two/x_test.go", 12)
    );
    assert_eq!(
        place_of(&case("two"), "name='github.com/a/b/pkg/one'"),
        at("pkg/one/x_test.go", 12)
    );
    assert_eq!(place(&case("three")), None);
}

#[test]
fn then_the_place_at_the_beginning_of_the_message() {
    assert_eq!(
        place("<testcase name='x'><failure message='Makefile:3: boom'/></testcase>"),
        at("Makefile", 3)
    );
    assert_eq!(
        place(
            "<testcase name='x'><failure message='/w/cpp/a.cc:31&#10;Expected equality'>/w/cpp/a.cc:31\nExpected</failure></testcase>"
        ),
        at("cpp/a.cc", 31)
    );
}

#[test]
fn then_the_test_case_and_only_for_pytest_from_zero() {
    let case = "<testcase name='x' file='tests/test_calc.py' line='4'><failure>no frame</failure></testcase>";
    assert_eq!(place(case), at("tests/test_calc.py", 4));
    assert_eq!(place_of(case, "name='pytest'"), at("tests/test_calc.py", 5));
    let ruby = "<testcase name='x' file='./spec/x_spec.rb' lineno='4'><failure/></testcase>";
    assert_eq!(place(ruby), at("spec/x_spec.rb", 4));
}

#[test]
fn then_the_suite_and_then_the_class() {
    let case = "<testcase name='x' classname='tests.test_calc'><failure/></testcase>";
    assert_eq!(
        place_of(case, "file='/w/web/a.test.ts'"),
        at("web/a.test.ts", 1)
    );
    let class = |class: &str| {
        place(&format!(
            "<testcase name='x' classname='{class}'><failure/></testcase>"
        ))
    };
    assert_eq!(class("tests.test_calc"), at("tests/test_calc.py", 1));
    assert_eq!(
        class("tests.unit.test_deep.TestIt"),
        at("tests/unit/test_deep.py", 1)
    );
    assert_eq!(
        class("com.acme.FooTest"),
        at("core/src/test/java/com/acme/FooTest.java", 1)
    );
    assert_eq!(
        class("com.acme.FooTest$Nested"),
        at("core/src/test/java/com/acme/FooTest.java", 1)
    );
    assert_eq!(class("web/a.test.ts"), at("web/a.test.ts", 1));
    assert_eq!(class("FooTest"), None);
    assert_eq!(class("nothing.like.it"), None);
}

#[test]
fn a_class_may_say_the_name_of_its_file() {
    let class = |class: &str| {
        place(&format!(
            "<testcase name='x' classname='{class}'><failure/></testcase>"
        ))
    };
    assert_eq!(
        class("Elixir.Shop.CartTest"),
        at("test/shop/cart_test.exs", 1)
    );
    assert_eq!(class("Shop.Tests.TillTests"), at("net/TillTests.cs", 1));
    assert_eq!(class("App\\Tests\\TillTests"), at("net/TillTests.cs", 1));
}

#[test]
fn code_of_others_is_not_taken_for_a_file_of_the_same_name() {
    for frame in [
        "/root/.cargo/registry/src/serde-1.0.0/src/lib.rs:3:1",
        "/rustc/0123/library/src/lib.rs:3:1",
        "/root/go/pkg/mod/github.com/x/y@v1.0.0/src/lib.rs:3",
        "/usr/lib/x/src/lib.rs:3",
    ] {
        let text = format!("panicked at {frame}:\nboom");
        let case = format!("<testcase name='x'><failure>{text}</failure></testcase>");
        assert_eq!(place(&case), None, "{frame}");
    }
}

#[test]
fn a_kotlin_file_may_leave_out_folders_of_its_package() {
    assert_eq!(
        place(
            "<testcase name='x'><failure>at com.acme.cart.CartTest.t(CartTest.kt:9)</failure></testcase>"
        ),
        at("kt/cart/CartTest.kt", 9)
    );
}

#[test]
fn of_two_modules_the_one_of_the_report_is_meant() {
    let files = ["a/src/Foo.java", "b/src/Foo.java", "c/Bar.java"];
    let content = b"<testsuite><testcase name='x'><failure>at Foo.t(Foo.java:9)</failure></testcase></testsuite>";
    let place = |path: &str| {
        let mut collector = Collector::new(Limits::default());
        collector.read(path, content.as_slice());
        let mut report = collector.finish();
        report.locate(&Index::new(files.map(str::to_owned)));
        report.tests[0].location.as_ref().map(|at| at.path.clone())
    };
    assert_eq!(
        place("b/target/TEST-Foo.xml").as_deref(),
        Some("b/src/Foo.java")
    );
    assert_eq!(place("target/TEST-Foo.xml"), None);
}

#[test]
fn what_fits_nothing_is_nowhere_and_what_passed_needs_no_place() {
    assert_eq!(
        place(
            "<testcase name='x' file='/gone.py' line='4'><failure>/gone.py:3: E</failure></testcase>"
        ),
        None
    );
    assert_eq!(
        place("<testcase name='x' file='tests/test_calc.py' line='4'/>"),
        None
    );
}

#[test]
fn across_jobs_a_test_is_one_with_the_worst_outcome() {
    let one = read(
        "<testsuite><testcase name='a' time='1'/><testcase name='b'><skipped/></testcase><testcase name='c'><flakyFailure/></testcase></testsuite>",
    );
    let two = read(
        "<testsuite><testcase name='a' time='2'><failure message='m'/></testcase><testcase name='b'/><testcase name='c'/></testsuite>",
    );
    let both = Report::join([&one, &two]);
    let outcomes: Vec<_> = both
        .tests
        .iter()
        .map(|test| (test.outcome, test.runs, test.flaky))
        .collect();
    assert_eq!(
        outcomes,
        [
            (Outcome::Failed, 2, false),
            (Outcome::Passed, 2, false),
            (Outcome::Passed, 3, true)
        ]
    );
    assert_eq!(both.tests[0].message.as_deref(), Some("m"));
    let totals = both.totals();
    assert_eq!((totals.tests, totals.runs, totals.flaky), (3, 7, 1));
    assert!((totals.duration_seconds - 3.0).abs() < 1e-9);
    assert_eq!(both.files.len(), 2);
}

#[test]
fn a_report_is_the_same_after_being_stored() {
    let mut report = read(
        "<testsuite><testcase name='a' file='Makefile' line='2'><failure message='m'>t</failure></testcase></testsuite>",
    );
    report.locate(&Index::new(["Makefile".to_owned()]));
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Report>(&text).expect("a report"),
        report
    );
}
