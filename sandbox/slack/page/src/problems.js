// What went wrong, in words for the person at the page.

const WORDS = {
  operation_timeout: "The app did not answer within 3 seconds (operation_timeout).",
  dispatch_failed: "The app could not be reached or answered with an error (dispatch_failed). Is it running?",
  not_in_channel: "This person is not in this channel.",
  is_archived: "This channel is archived.",
  message_not_found: "This message is gone.",
  action_not_found: "This button is no longer there.",
};

export function problemText(answer) {
  const details = (answer.details ?? []).join("; ");
  return WORDS[answer.error] ?? answer.text ?? `${answer.error ?? "Something went wrong"}${details ? `: ${details}` : ""}`;
}
