import type { errors as english } from "../en/errors";
import type { Translation } from "../translation";

export const errors: Translation<typeof english> = {
  unknown: "문제가 발생했습니다. 다시 시도해 보고, 계속되면 관리자에게 문의해 주세요.",
  retryAfter_other: "{{count}}초 후에 다시 시도해 주세요.",
  requestId: "요청 {{id}}",
  copyRequestId: "요청 ID 복사",
  invalid: "{{param}} 값이 올바르지 않습니다.",
  fields: {
    password: "10자 이상이고 흔하지 않은 비밀번호를 정해 주세요.",
    new_password: "10자 이상이고 흔하지 않은 비밀번호를 정해 주세요.",
    email: "올바른 이메일 주소를 입력해 주세요.",
    name: "사용할 수 없는 이름입니다.",
    tier: "존재하지 않는 등급입니다.",
    tz: "존재하지 않는 시간대입니다.",
  },
  codes: {
    unreachable: "게이트웨이에 연결할 수 없습니다. 연결을 확인하고 다시 시도해 주세요.",
    unexpected_response: "게이트웨이가 아닌 곳에서 응답했습니다. 프록시 설정이 잘못되었을 수 있습니다.",
    invalid_credentials: "이메일 주소 또는 비밀번호가 올바르지 않습니다.",
    token_expired: "로그아웃되었습니다. 다시 로그인해 주세요.",
    token_invalid: "로그아웃되었습니다. 다시 로그인해 주세요.",
    account_disabled: "비활성화된 계정입니다. 관리자에게 문의해 주세요.",
    forbidden: "이 작업을 수행할 권한이 없습니다.",
    not_found: "더 이상 존재하지 않습니다.",
    model_not_found: "더 이상 사용할 수 없는 모델입니다. 다른 모델을 선택해 주세요.",
    email_taken: "이미 가입된 이메일 주소입니다. 로그인해 주세요.",
    turn_in_progress: "이 대화에서 아직 답변을 작성하고 있습니다. 기다리거나 중지해 주세요.",
    last_admin: "마지막 활성 관리자이므로 변경할 수 없습니다.",
    rate_limited: "요청이 너무 많습니다.",
    quota_exceeded: "오늘의 토큰을 모두 사용했습니다. UTC 자정에 초기화됩니다.",
    budget_exceeded: "이번 달 예산을 모두 사용했습니다.",
    too_many_attempts: "시도 횟수가 너무 많습니다.",
    context_length_exceeded:
      "모델이 처리하기에는 너무 깁니다. 내용을 줄이거나 컨텍스트 윈도가 더 큰 모델을 선택해 주세요.",
    content_blocked: "가드레일이 질문을 차단했습니다.",
    upstream_failed: "모델 제공자에서 오류가 발생했습니다.",
    upstream_rate_limited:
      "모델 제공자의 호출 한도에 도달했습니다. 잠시 기다리거나 다른 모델을 선택해 주세요.",
    upstream_rejected: "모델 제공자가 요청을 거부했습니다.",
    unsupported_parameter: "모델이 지원하지 않는 요청입니다. 다른 모델을 선택해 주세요.",
    upstream_timeout: "모델 제공자가 제시간에 응답하지 않았습니다.",
    circuit_open:
      "모델 제공자에서 오류가 계속되어 일시적으로 사용하지 않습니다. 잠시 후 다시 시도하거나 다른 모델을 선택해 주세요.",
    overloaded: "게이트웨이에 부하가 많거나 다시 시작하는 중입니다.",
    internal_error: "게이트웨이 내부 오류가 발생했습니다. 자세한 내용은 게이트웨이 로그에 있습니다.",
    body_too_large: "요청이 너무 큽니다.",
  },
};
