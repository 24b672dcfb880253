import type { Translation } from "..";
import type { errors as english } from "../en/errors";

export const errors: Translation<typeof english> = {
  unknown: "문제가 생겼습니다. 다시 시도해 보고, 계속되면 관리자에게 알려 주세요.",
  retryAfter_other: "{{count}}초 뒤에 다시 시도해 주세요.",
  requestId: "요청 {{id}}",
  codes: {
    unreachable: "게이트웨이에 연결할 수 없습니다. 연결을 확인하고 다시 시도해 주세요.",
    bad_answer: "게이트웨이가 아닌 곳에서 응답했습니다. 중간의 프록시 설정이 잘못되었을 수 있습니다.",
    invalid_credentials: "이메일 주소나 비밀번호가 맞지 않습니다.",
    token_expired: "로그아웃되었습니다. 다시 로그인해 주세요.",
    token_invalid: "로그아웃되었습니다. 다시 로그인해 주세요.",
    account_disabled: "사용이 중지된 계정입니다. 관리자에게 문의해 주세요.",
    forbidden: "이 계정에는 권한이 없습니다.",
    not_found: "더 이상 존재하지 않습니다.",
    model_not_found: "더 이상 사용할 수 없는 모델입니다. 다른 모델을 선택해 주세요.",
    email_taken: "이미 가입된 이메일 주소입니다. 로그인해 주세요.",
    turn_in_progress: "이 대화에서 아직 답변을 쓰고 있습니다. 기다리거나 중지해 주세요.",
    last_admin: "마지막 관리자이므로 바꿀 수 없습니다.",
    rate_limited: "1분 동안의 요청이 너무 많습니다.",
    quota_exceeded: "오늘의 토큰을 모두 사용했습니다. UTC 자정에 다시 채워집니다.",
    budget_exceeded: "이번 달 예산을 모두 사용했습니다.",
    too_many_attempts: "시도 횟수가 너무 많습니다.",
    context_length_exceeded: "모델이 받기에 너무 깁니다. 줄이거나 문맥이 더 큰 모델을 선택해 주세요.",
    content_blocked: "안전 장치가 질문을 차단했습니다.",
    upstream_failed: "모델 제공자가 응답에 실패했습니다.",
    upstream_timeout: "모델 제공자의 응답이 너무 늦습니다.",
    circuit_open: "모델 제공자에 문제가 있어 잠시 요청을 보내지 않고 있습니다.",
    overloaded: "게이트웨이가 바쁘거나 다시 시작하는 중입니다.",
    internal_error: "게이트웨이 내부에서 오류가 났습니다. 로그에 기록되었습니다.",
    body_too_large: "보내기에 너무 큽니다.",
  },
};
