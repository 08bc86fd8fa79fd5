//! `[alerts]`, as written.

use crate::{
    config::{
        path::FilePath,
        read::{Found, section, words},
        values::Wait,
    },
    model::{
        HostPort,
        alert::{SmtpTls, WebUrl},
    },
};

section! {
    /// Who is told when something happens.
    Alerts {
        must {}
        may {
            /// E-mail: by which server, to whom.
            smtp: Smtp,
            /// URLs that alerts are posted to.
            webhooks: Vec<Found<Webhook>>,
            /// How long a failed-over pair's primary may be healthy without a resync signal before that is an alert.
            #[schemars(extend("default" = "30m"))]
            signal_overdue_after: Wait,
            /// A certificate that ends sooner is a warning in `status` and an alert.
            #[schemars(extend("default" = "21d"))]
            certificate_expires_within: Wait,
        }
        later {}
    }
}

section! {
    /// E-mail.
    Smtp {
        must {
            /// The mail server: host and port, such as `mail.example.net:587`.
            host: HostPort,
            /// The sender: `address`, or `Name <address>`.
            from: String,
            /// The recipients, written alike.
            to: Vec<Found<String>>,
        }
        may {
            /// The account at the mail server, if it wants one.
            user: String,
            /// File of the account's password; relative to this file's folder.
            password_file: FilePath,
            /// How TLS begins. Default: `implicit` on port 465, else `starttls`.
            tls: SmtpTls,
            /// PEM file of who vouches for the mail server. Default: whom the system believes.
            ca: FilePath,
        }
        later {}
    }
}

words!(SmtpTls, "SmtpTls", [
    /// After `STARTTLS`, without which nothing is sent.
    "starttls" => SmtpTls::StartTls,
    /// With the connection.
    "implicit" => SmtpTls::Implicit,
    /// Never: everything can be read on its way.
    "none" => SmtpTls::None,
] later []);

section! {
    /// A URL that alerts are posted to, as JSON.
    Webhook {
        must {
            /// An `https://` or `http://` URL. Any status from 200 to 299 says "taken".
            url: WebUrl,
        }
        may {
            /// File of the token sent as `Authorization: Bearer`; relative to this file's folder.
            token_file: FilePath,
            /// PEM file of who vouches for the server. Default: whom the system believes.
            ca: FilePath,
        }
        later {}
    }
}
