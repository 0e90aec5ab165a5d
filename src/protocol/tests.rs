use proptest::prelude::*;

use super::frame::Message;
use super::{
    Collect, CollectKind, Decoder, Encoder, Exit, FileInfo, FromRunner, Hello, Job, Limits,
    MAX_FRAME, Outcome, PROTOCOL, Phase, ProtocolError, StepCommand, StepOrder, Stream, ToRunner,
    check_hello,
};

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal),
        Just(Exit::TimedOut),
        Just(Exit::Cancelled),
        Just(Exit::Skipped),
        any::<String>().prop_map(Exit::NotStarted),
    ]
}

fn streams() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)]
}

fn from_runner() -> impl Strategy<Value = FromRunner> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        any::<String>().prop_map(|version| FromRunner::Hello(Hello {
            protocol: PROTOCOL,
            version
        })),
        Just(FromRunner::Started),
        (any::<u32>(), any::<u64>())
            .prop_map(|(step, unix_ms)| FromRunner::StepStarted { step, unix_ms }),
        (any::<u32>(), streams(), any::<u64>(), bytes()).prop_map(
            |(step, stream, unix_ms, bytes)| FromRunner::Output {
                step,
                stream,
                unix_ms,
                bytes
            }
        ),
        (any::<u32>(), exits(), any::<u64>()).prop_map(|(step, exit, duration_ms)| {
            FromRunner::StepFinished {
                step,
                exit,
                duration_ms,
            }
        }),
        any::<String>().prop_map(|text| FromRunner::Note { text }),
        (any::<String>(), any::<u64>(), any::<Option<u32>>()).prop_map(|(path, size, step)| {
            FromRunner::FileStart(FileInfo {
                kind: CollectKind::Coverage,
                path,
                size,
                step,
            })
        }),
        bytes().prop_map(|bytes| FromRunner::FileChunk { bytes }),
        any::<bool>().prop_map(|complete| FromRunner::FileEnd { complete }),
        Just(FromRunner::Finished {
            outcome: Outcome::TimedOut
        }),
    ]
}

proptest! {
    #[test]
    fn what_was_sent_is_received_whatever_the_pieces(
        messages in proptest::collection::vec(from_runner(), 0..12),
        piece in 1usize..200,
    ) {
        let mut encoder = Encoder::default();
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| encoder.frame(message).expect("fits"))
            .collect();
        let mut decoder = Decoder::default();
        let mut received: Vec<FromRunner> = Vec::new();
        for piece in stream.chunks(piece) {
            decoder.push(piece);
            while let Some(message) = decoder.next().expect("valid") {
                received.push(message);
            }
        }
        decoder.end().expect("at a border");
        prop_assert_eq!(received, messages);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next::<FromRunner>() {}
        let mut decoder = Decoder::default();
        let _ = decoder.receive::<ToRunner>(&mut bytes.as_slice());
    }

    #[test]
    fn no_payload_makes_a_message_panic(
        kind in 0u8..8,
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = FromRunner::read(kind, &payload);
        let _ = ToRunner::read(kind, &payload);
    }
}

#[test]
fn a_job_survives_the_way() {
    let job = ToRunner::Job(Box::new(Job {
        workspace: "/workspace".into(),
        scratch: "/scratch".into(),
        environment: vec![("A".into(), "ä\n".into())],
        steps: vec![StepOrder {
            index: 0,
            phase: Phase::Execute,
            name: "x".into(),
            command: StepCommand::Argv(vec!["a".into(), String::new()]),
            environment: Vec::new(),
            working_directory: Some("b".into()),
            timeout_ms: Some(1),
            continue_on_error: true,
        }],
        timeout_ms: 1,
        after_timeout_ms: Job::AFTER_TIMEOUT_MS,
        grace_ms: Job::GRACE_MS,
        collect: vec![Collect {
            kind: CollectKind::Tests,
            globs: vec!["**/*.xml".into()],
            defaults: false,
        }],
        limits: Limits::default(),
        secrets: vec![("TOKEN".into(), "s3cr3t".into())],
        cache: None,
        archives: Vec::new(),
        confinement: None,
        await_ports: Vec::new(),
    }));
    let shown = format!("{job:?} {job:#?}");
    assert!(shown.contains("TOKEN"), "{shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    let frame = Encoder::default().frame(&job).expect("fits");
    let received = Decoder::default().receive::<ToRunner>(&mut frame.as_slice());
    assert_eq!(received.expect("valid"), Some(job));
}

#[test]
fn a_message_that_comes_again_is_not_counted_twice() {
    let frame = Encoder::default()
        .frame(&FromRunner::Started)
        .expect("fits");
    let mut decoder = Decoder::default();
    decoder.push(&frame);
    decoder.push(&frame);
    assert_eq!(decoder.next().expect("first"), Some(FromRunner::Started));
    let error = decoder.next::<FromRunner>().expect_err("number 1 again");
    assert_eq!(error.to_string(), "message number 1 where 2 was due");
}

#[test]
fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
    let mut decoder = Decoder::default();
    decoder.push(&u32::MAX.to_le_bytes());
    let error = decoder.next::<FromRunner>().expect_err("4 GiB");
    assert!(matches!(error, ProtocolError::Length(_)));
    let bytes = vec![0; MAX_FRAME];
    let mut encoder = Encoder::default();
    let error = encoder.frame(&FromRunner::FileChunk { bytes });
    assert!(matches!(error, Err(ProtocolError::Length(_))));
}

#[test]
fn a_stream_that_breaks_off_is_noticed() {
    let frame = Encoder::default()
        .frame(&FromRunner::Started)
        .expect("fits");
    for length in 1..frame.len() {
        let mut input = &frame[..length];
        let error = Decoder::default().receive::<FromRunner>(&mut input);
        assert!(matches!(error, Err(ProtocolError::Truncated)), "{length}");
    }
    let nothing = Decoder::default().receive::<FromRunner>(&mut &[][..]);
    assert_eq!(nothing.expect("a clean end"), None);
}

#[test]
fn a_message_of_the_other_direction_is_refused() {
    let cancel = ToRunner::Cancel { reason: "x".into() };
    let frame = Encoder::default().frame(&cancel).expect("fits");
    let error = Decoder::default().receive::<FromRunner>(&mut frame.as_slice());
    assert!(matches!(error, Err(ProtocolError::Kind(1))));
}

#[test]
fn a_runner_of_another_version_is_told_from_ours() {
    let hello = |protocol| Hello {
        protocol,
        version: "9.9\u{1b}[2J".into(),
    };
    assert!(check_hello(&hello(PROTOCOL)).is_ok());
    let error = check_hello(&hello(7)).expect_err("another version");
    assert_eq!(
        error.to_string(),
        "the runner (herald 9.9[2J) speaks version 7 of the protocol and this server version 2: \
         install the runner that belongs to this server"
    );
}
