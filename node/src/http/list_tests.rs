//! Pages of lists: nothing is lost between two, whatever order the items come in.
//!
//! Does: read lists page by page as a client would. Does not: open sockets.
//! In: items with keys. Out: one expectation a row.

use actix_web::body::to_bytes;

use super::*;

async fn read(
    query: &ListQuery,
    items: &[(&str, Value)],
) -> Result<(Vec<Value>, Option<String>), String> {
    let items = items
        .iter()
        .map(|(key, item)| ((*key).to_owned(), item.clone()));
    let response = page(query, items).map_err(|error| error.to_string())?;
    let body = to_bytes(response.into_body()).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let next = body["next"].as_str().map(str::to_owned);
    Ok((body["items"].as_array().unwrap().clone(), next))
}

#[actix_rt::test]
async fn pages_hold_every_item_once_whatever_order_they_come_in() {
    // As a ledger orders them: by the parts. By the text `a-b|` stands before `a|`.
    let keys = ["a|1", "a|2", "a-b|1", "a-b|2", "b|1"];
    let items: Vec<(&str, Value)> = keys.iter().map(|key| (*key, json!(key))).collect();
    for limit in 1..=6 {
        let mut query = ListQuery {
            limit: Some(limit),
            ..ListQuery::default()
        };
        let mut read_so_far = Vec::new();
        loop {
            let (page, next) = read(&query, &items).await.unwrap();
            assert!(page.len() <= limit);
            read_so_far.extend(page);
            match next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let expected = ["a-b|1", "a-b|2", "a|1", "a|2", "b|1"].map(Value::from);
        assert_eq!(read_so_far, expected, "{limit} a page");
    }
}

#[actix_rt::test]
async fn a_field_that_no_item_has_is_refused_with_those_there_are() {
    let items = [("a", json!({"id": 1, "cause": null}))];
    let with = |fields: &str| ListQuery {
        fields: Some(fields.to_owned()),
        ..ListQuery::default()
    };
    let (kept, _) = read(&with("cause"), &items).await.unwrap();
    assert_eq!(kept, [json!({"cause": null})]);
    let error = page(
        &with("id, casue"),
        [("a".to_owned(), items[0].1.clone())].into_iter(),
    );
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("fields has \"casue\""),
        "{error}"
    );
    let body = to_bytes(actix_web::ResponseError::error_response(&error).into_body()).await;
    let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
    assert!(body.contains("choose of cause, id"), "{body}");
    // Nobody knows the fields of a list without items.
    let (none, _) = read(&with("casue"), &[]).await.unwrap();
    assert!(none.is_empty());
}

#[test]
fn a_limit_that_is_no_number_is_named() {
    let check = |query: &str, expected: Result<Option<usize>, &str>| {
        let read = actix_web::web::Query::<ListQuery>::from_query(query);
        let found = read
            .map(|query| query.limit)
            .map_err(|error| ApiError::of_query(&error).to_string());
        match (&found, expected) {
            (Ok(limit), Ok(expected)) => assert_eq!(*limit, expected, "{query}"),
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{query}: {error}");
                assert!(!error.contains("deserialize"), "{query}: {error}");
            }
            _ => panic!("{query}: {found:?}"),
        }
    };
    check("", Ok(None));
    check("limit=7", Ok(Some(7)));
    check("limit=x", Err("limit is \"x\"; it must be 1 to 5000"));
    check("limit=", Err("limit is \"\""));
    check("limit=-1", Err("limit is \"-1\""));
    check("lmit=1", Err("unknown field `lmit`"));
}
