//! The command line: every option once. The doc comments are the text of `--help`, and the manual's
//! OPTIONS section is compared with this file by a test. Values stay text here; `config` reads them.

use clap::Parser;

/// Device-side glue for AWS IoT Core: files in, files out, no SDK.
///
/// Publishes each file that is moved into DIR/new, and removes it when the
/// broker has acknowledged it. Runs in the foreground under a supervisor and
/// logs to stderr. chariotd(8) has the whole story.
#[derive(Debug, Default, Parser)]
#[command(
    name = "chariotd",
    version,
    next_line_help = true,
    // Run scripts append the options of their configuration to their own.
    args_override_self = true,
    verbatim_doc_comment,
    after_help = "Options marked [+] may be repeated. --opt=VALUE and --opt VALUE both work.\n\
                  Exit codes: 0 asked to stop, 100 a person must act, 111 try again later."
)]
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help; brackets there mean what may be left out"
)]
pub struct Cli {
    /// MQTT client id, mandatory and unique for each device; @/FILE is what
    /// the file holds, !COMMAND what the command prints
    #[arg(
        long,
        short = 'i',
        visible_alias = "id",
        value_name = "ID",
        verbatim_doc_comment,
        help_heading = "Connection"
    )]
    pub clientid: Option<String>,

    /// Root CA certificates that sign the endpoint, mandatory
    #[arg(
        long,
        short = 'r',
        visible_alias = "rootca",
        value_name = "PEM",
        help_heading = "Connection"
    )]
    pub cacert: Option<String>,

    /// Certificate store; mandatory unless --cert, --key and --endpoint
    /// are all given, or no certificate is needed
    #[arg(
        long,
        value_name = "DIR",
        verbatim_doc_comment,
        help_heading = "Connection"
    )]
    pub certstore: Option<String>,

    /// One explicit certificate instead of the store's
    #[arg(long, short = 'c', value_name = "PEM", help_heading = "Connection")]
    pub cert: Option<String>,

    /// The private key of --cert: PKCS#8, PKCS#1 or SEC1, or the address
    /// of one in a token, pkcs11:token=T;object=K?module-path=M
    #[arg(
        long,
        short = 'k',
        value_name = "PEM|URI",
        verbatim_doc_comment,
        help_heading = "Connection"
    )]
    pub key: Option<String>,

    /// Program that asks tokens for signatures, chariotd-pkcs11
    #[arg(long, value_name = "COMMAND", help_heading = "Connection")]
    pub key_helper: Option<String>,

    /// Broker address, instead of the store's endpoint.txt [port: 8883]
    #[arg(
        long,
        short = 'e',
        value_name = "HOST[:PORT]",
        help_heading = "Connection"
    )]
    pub endpoint: Option<String>,

    /// Version of IP, 4, 6 or any [default: any]
    #[arg(long, value_name = "VERSION", help_heading = "Connection")]
    pub ip: Option<String>,

    /// Network interface through which alone connections leave
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub bind_interface: Option<String>,

    /// Proxy, http://, https:// or socks5://[USER@]HOST:PORT; none for
    /// none [default: https_proxy, all_proxy of the environment]
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Connection",
        verbatim_doc_comment
    )]
    pub proxy: Option<String>,

    /// File with the password of the proxy's user, mode 0600
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub proxy_password_file: Option<String>,

    /// CA certificates that sign the certificate of an https:// proxy
    /// [default: the system's]
    #[arg(
        long,
        value_name = "PEM",
        help_heading = "Connection",
        verbatim_doc_comment
    )]
    pub proxy_cacert: Option<String>,

    /// Seconds between keep-alive packets, 5 to 65535 [default: 1200,
    /// through a proxy 200]
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Connection",
        verbatim_doc_comment
    )]
    pub keepalive: Option<String>,

    /// Protocol version, 5 or 3.1.1 [default: 5]
    #[arg(long, value_name = "VERSION", help_heading = "Connection")]
    pub mqtt: Option<String>,

    /// Failures in a row before giving up, 0 = never [default: 5]
    #[arg(long, value_name = "N", help_heading = "Connection")]
    pub connect_attempts: Option<String>,

    /// Messages a second, 0 = no limit [default: 100 at AWS, else 0]
    #[arg(long, value_name = "N", help_heading = "Connection")]
    pub publish_rate: Option<String>,

    /// Bytes of payload a second, 0 = no limit [default: 524288 at AWS,
    /// else 0]
    #[arg(
        long,
        value_name = "BYTES",
        help_heading = "Connection",
        verbatim_doc_comment
    )]
    pub publish_bytes_rate: Option<String>,

    /// Connections at most, for inboxes and many topics, 1 to 16 [default: 4]
    #[arg(long, value_name = "N", help_heading = "Connection")]
    pub max_connections: Option<String>,

    /// Topic of the last will, which needs a payload too
    #[arg(long, value_name = "TOPIC", help_heading = "Connection")]
    pub last_will_topic: Option<String>,

    /// Payload of the last will
    #[arg(long, value_name = "TEXT", help_heading = "Connection")]
    pub last_will_payload: Option<String>,

    /// The broker keeps the last will for later subscribers
    #[arg(long, help_heading = "Connection")]
    pub last_will_retain: bool,

    /// Topic of the message that each connection begins with
    #[arg(long, value_name = "TOPIC", help_heading = "Connection")]
    pub birth_topic: Option<String>,

    /// Payload of the birth message
    #[arg(long, value_name = "TEXT", help_heading = "Connection")]
    pub birth_payload: Option<String>,

    /// The broker keeps the birth message for later subscribers
    #[arg(long, help_heading = "Connection")]
    pub birth_retain: bool,

    /// What MQTT runs on, mqtt (TLS) or wss (a WebSocket) [default: mqtt]
    #[arg(long, value_name = "TRANSPORT", help_heading = "Connection")]
    pub transport: Option<String>,

    /// Access keys for wss in a file of AWS's format
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub aws_credentials_file: Option<String>,

    /// Endpoint that lends access keys for wss [port: 443]
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Identity")]
    pub credential_provider: Option<String>,

    /// Role alias that is asked for there
    #[arg(long, value_name = "ALIAS", help_heading = "Identity")]
    pub role_alias: Option<String>,

    /// Thing that is named there [default: the client id]
    #[arg(long, value_name = "THING", help_heading = "Identity")]
    pub provider_thing: Option<String>,

    /// Region that access keys sign for [default: the endpoint's]
    #[arg(long, value_name = "REGION", help_heading = "Identity")]
    pub region: Option<String>,

    /// Custom authoriser, instead of a certificate; empty: the default one
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub authorizer: Option<String>,

    /// User name for the authoriser
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub authorizer_username: Option<String>,

    /// File with the password for the authoriser
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub authorizer_password_file: Option<String>,

    /// Name under which the authoriser expects the token
    #[arg(long, value_name = "KEY", help_heading = "Identity")]
    pub authorizer_token_key: Option<String>,

    /// File with the token
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub authorizer_token_file: Option<String>,

    /// File with the token's signature in base64
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub authorizer_signature_file: Option<String>,

    /// Gets a certificate by fleet provisioning, as FILE says
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub fleetprov: Option<String>,

    /// Renew the certificate when fewer days are left, 0 = never
    /// [default: 0]
    #[arg(
        long,
        value_name = "DAYS",
        verbatim_doc_comment,
        help_heading = "Identity"
    )]
    pub renew_before: Option<String>,

    /// Publish the messages moved into DIR/new [+]
    #[arg(long, value_name = "DIR", help_heading = "Messages")]
    pub messages: Vec<String>,

    /// Messages in flight at the same time, 1 to 100 [+] [default: 10]
    #[arg(long, value_name = "DIR:N", help_heading = "Messages")]
    pub message_concurrency: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub default_message_concurrency: Option<String>,

    /// Further attempts after a refusal that may pass [+] [default: 2]
    #[arg(long, value_name = "DIR:N", help_heading = "Messages")]
    pub message_retries: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub default_message_retries: Option<String>,

    /// Messages kept in DIR/failed [+] [default: 100]
    #[arg(long, value_name = "DIR:N", help_heading = "Messages")]
    pub message_keep_failed: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "N", help_heading = "Messages")]
    pub default_message_keep_failed: Option<String>,

    /// Seconds that a full window may go unanswered [+] [default: 300]
    #[arg(long, value_name = "DIR:SECONDS", help_heading = "Messages")]
    pub message_jam_timeout: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "SECONDS", help_heading = "Messages")]
    pub default_message_jam_timeout: Option<String>,

    /// lexical, reverse-lexical, newest-first or oldest-first [+]
    /// [default: lexical]
    #[arg(
        long,
        value_name = "DIR:ORDER",
        verbatim_doc_comment,
        help_heading = "Messages"
    )]
    pub message_order: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "ORDER", help_heading = "Messages")]
    pub default_message_order: Option<String>,

    /// auto, or all: every waiting file is looked at for its priority before
    /// the first is taken, however many there are [+] [default: auto]
    #[arg(
        long,
        value_name = "DIR:LOOKS",
        verbatim_doc_comment,
        help_heading = "Messages"
    )]
    pub message_priorities: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "LOOKS", help_heading = "Messages")]
    pub default_message_priorities: Option<String>,

    /// Put before every topic [+]
    #[arg(long, value_name = "DIR:TEXT", help_heading = "Messages")]
    pub message_topic_prefix: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "TEXT", help_heading = "Messages")]
    pub default_message_topic_prefix: Option<String>,

    /// Put behind every topic [+]
    #[arg(long, value_name = "DIR:TEXT", help_heading = "Messages")]
    pub message_topic_suffix: Vec<String>,

    /// The same for directories without their own
    #[arg(long, value_name = "TEXT", help_heading = "Messages")]
    pub default_message_topic_suffix: Option<String>,

    /// JSON object onto which messages are merged [+]
    #[arg(long, value_name = "DIR:PATH", help_heading = "Messages")]
    pub letterhead_file: Vec<String>,

    /// The same for directories without their own letterhead
    #[arg(long, value_name = "PATH", help_heading = "Messages")]
    pub default_letterhead_file: Option<String>,

    /// Command that prints such an object for each message [+]
    #[arg(long, value_name = "DIR:COMMAND", help_heading = "Messages")]
    pub letterhead_generator: Vec<String>,

    /// The same for directories without their own letterhead
    #[arg(long, value_name = "COMMAND", help_heading = "Messages")]
    pub default_letterhead_generator: Option<String>,

    /// Service definitions for a thing's shadow [+]
    #[arg(long, value_name = "THING[/SHADOW]:DIR", help_heading = "Shadows")]
    pub services: Vec<String>,

    /// Shadow updates from an action directory [+]
    #[arg(long, value_name = "THING[/SHADOW]:DIR", help_heading = "Shadows")]
    pub updates: Vec<String>,

    /// Command that seeds a shadow that does not exist [+]
    #[arg(long, value_name = "THING[/SHADOW]:COMMAND", help_heading = "Shadows")]
    pub defaultshadow: Vec<String>,

    /// An empty array deletes, like "DELETE"
    #[arg(long, help_heading = "Shadows")]
    pub empty_array_as_delete_request: bool,

    /// Keep received messages in a durable inbox [+]
    #[arg(long, value_name = "TOPIC:DIR", help_heading = "Subscriptions")]
    pub subscribe_spool: Vec<String>,

    /// Messages in an inbox at most [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Subscriptions")]
    pub inbox_max_files: Option<String>,

    /// Their bytes together [default: 4194304]
    #[arg(long, value_name = "BYTES", help_heading = "Subscriptions")]
    pub inbox_max_bytes: Option<String>,

    /// Command requests from an action directory
    #[arg(long, value_name = "DIR", help_heading = "Commands")]
    pub commands: Option<String>,

    /// Write received messages to a FIFO, a device or a file [+]
    #[arg(long, value_name = "TOPIC:PATH", help_heading = "Subscriptions")]
    pub subscribe_write: Vec<String>,

    /// Run a command for each received message [+]
    #[arg(long, value_name = "TOPIC:COMMAND", help_heading = "Subscriptions")]
    pub subscribe_exec: Vec<String>,

    /// Services that secure tunnels may reach [+]
    #[arg(
        long,
        value_name = "THING:SVC=PORT,...",
        help_heading = "Secure tunnels"
    )]
    pub tunnelmappings: Vec<String>,

    /// Local proxy of AWS, without a shell [default: localproxy]
    #[arg(long, value_name = "COMMAND", help_heading = "Secure tunnels")]
    pub tunnelproxy: Option<String>,

    /// CA certificates for the local proxy
    #[arg(long, value_name = "DIR", help_heading = "Secure tunnels")]
    pub tunnelcadir: Option<String>,

    /// File that gets a line of JSON for each event of the connection
    #[arg(long, value_name = "FILE", help_heading = "Supervision")]
    pub events: Option<String>,

    /// Command for each event of the connection
    #[arg(long, value_name = "COMMAND", help_heading = "Supervision")]
    pub on_event: Option<String>,

    /// Descriptor that gets a newline when the connection is ready, 3 to 9
    #[arg(long, value_name = "N", help_heading = "Supervision")]
    pub notify_fd: Option<String>,

    /// Read the whole configuration, report every problem, and exit with
    /// 0 or 100
    #[arg(long, verbatim_doc_comment)]
    pub check: bool,
}
