//! Every event type with its schemas: the current one and all that were ever released.
//!
//! A new event type is one line here, one `.avsc` and one released version. The schema texts are
//! part of the program, so a build can always read what any earlier build wrote.

use crate::topics::Topic;

macro_rules! subjects {
    ($( $topic:ident: $name:ident = $number:literal, $subject:literal [$($version:literal),+]; )*) => {
        /// An event type, as a schema registry names it: `<topic>-<full name of the record>`
        /// (`TopicRecordNameStrategy`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the event type of its name")]
        pub enum Subject { $($name,)* }

        /// All event types, in the order of [`Subject`].
        pub const SUBJECTS: &[Subject] = &[$(Subject::$name,)*];

        impl Subject {
            /// The subject's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $subject,)* }
            }

            /// Its number, for ever: what [`schema_id`](super::schema_id) is made of. From 1.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }

            /// The topic whose records it names.
            pub const fn topic(self) -> Topic {
                match self { $(Self::$name => Topic::$topic,)* }
            }

            /// The schema as it stands in the source tree; equal to the newest released one but
            /// for its docs.
            pub const fn current(self) -> &'static str {
                match self {
                    $(Self::$name => include_str!(concat!("../../avro/", $subject, ".avsc")),)*
                }
            }

            /// Every released schema, from version 1.
            pub const fn released(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$(include_str!(
                        concat!("../../avro/released/", $subject, "/v", $version, ".avsc")
                    ),)+],)*
                }
            }
        }
    };
}

subjects! {
    Chats: MessageSent = 1, "chats-cursus.chats.MessageSent" [1];
    Chats: MessageEdited = 2, "chats-cursus.chats.MessageEdited" [1];
    Chats: MessageDeleted = 3, "chats-cursus.chats.MessageDeleted" [1];
    Chats: ReactionSet = 4, "chats-cursus.chats.ReactionSet" [1];
    Chats: ChatCreated = 5, "chats-cursus.chats.ChatCreated" [1];
    Chats: ChatChanged = 6, "chats-cursus.chats.ChatChanged" [1];
    Chats: MemberAdded = 7, "chats-cursus.chats.MemberAdded" [1];
    Chats: MemberRemoved = 8, "chats-cursus.chats.MemberRemoved" [1];
    Chats: MemberLeft = 9, "chats-cursus.chats.MemberLeft" [1];
    Chats: MemberRoleChanged = 10, "chats-cursus.chats.MemberRoleChanged" [1];
    Receipts: Mark = 11, "receipts-cursus.receipts.Mark" [1];
    Accounts: ChatMuted = 12, "accounts-cursus.accounts.ChatMuted" [1];
    Accounts: ChatArchived = 13, "accounts-cursus.accounts.ChatArchived" [1];
    Accounts: ChatPinned = 14, "accounts-cursus.accounts.ChatPinned" [1];
    Accounts: MessageHidden = 15, "accounts-cursus.accounts.MessageHidden" [1];
    Users: EntryTold = 16, "users-cursus.users.EntryTold" [1];
    Users: VerdictTold = 17, "users-cursus.users.VerdictTold" [1];
    Users: StatusTold = 18, "users-cursus.users.StatusTold" [1];
    Users: MarkTold = 19, "users-cursus.users.MarkTold" [1];
    Users: SettingTold = 20, "users-cursus.users.SettingTold" [1];
    DeadLetters: DeadLetter = 21, "dead-letters-cursus.dead_letters.DeadLetter" [1];
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
