//! What people see, as they see it.

use super::without_locals;

#[test]
fn local_variables_of_a_traceback_are_hidden_unless_asked_for() {
    let details = "    def test():\n>       assert total == 3\nE       assert 2 == 3\n\n\
                   password   = 'hunter2'\ntotal      = 2\n\ntests/test_a.py:3: AssertionError\n";
    let hidden = without_locals(details, false);
    assert!(!hidden.contains("hunter2"), "{hidden}");
    assert!(hidden.contains("(local variables are hidden)"), "{hidden}");
    assert!(
        hidden.contains("tests/test_a.py:3: AssertionError"),
        "{hidden}"
    );
    assert_eq!(without_locals(details, true), details);
}
